// Many pages at once: signed in, kept busy, and what must hold of all that they saw.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import { inWords, Page } from './page.mjs';
import { each } from './waiting.mjs';

/** A random number. */
export const between = (from, to) => from + Math.random() * (to - from);

/** The frontend has to send the person to the login page. */
export const isLost = ({ code }) => code === 'login-required';

/** The frontend is told to repeat. */
export const isConflict = ({ code }) => code === 'session-refresh-conflict';

/** The body ended too soon. */
export const isCutOff = ({ status, code }) => status === 0 && code === 'aborted';

/** How many sessions were lost. */
export const lost = (pages) => pages.reduce((total, page) => total + page.lost, 0);

/** Pages on which everybody has signed in; `people` are options of {@link Page}. */
export async function signedIn(t, fleet, people) {
  const pages = people.map((person) => Object.assign(new Page({ ...fleet, ...person }), { ends: new Set(), lost: 0 }));
  t.after(() => pages.forEach((page) => page.close()));
  await each(pages, 6, (page) => page.signIn());
  return pages;
}

/** Lets every page do `turn` again and again until told to end; whoever is signed out signs in again. */
export function run(t, pages, turn) {
  let over = false;
  t.after(() => { over = true; });
  const live = async (page) => {
    // Not all in step.
    await sleep(between(0, 500));
    while (!over) {
      const seen = page.records.length;
      await turn(page);
      if (!page.records.slice(seen).some(isLost)) continue;
      page.lost += 1;
      if (!over) await page.signIn();
    }
  };
  const running = Promise.all(pages.map(live));
  // A failure is met in `end`, not as an unhandled rejection before.
  running.catch(() => { over = true; });
  return {
    async end() {
      over = true;
      await running;
    },
  };
}

/** Nothing but what is expected, no answer of another person, no access token after its end, no cookie against the rules. */
export function assertNothingMixedUp(pages, isExpected) {
  const records = pages.flatMap((page) => page.records);
  assert.ok(records.length > pages.length * 3, `${records.length} requests`);
  assert.deepEqual(records.filter((record) => !isExpected(record)).map(inWords), []);
  assert.deepEqual(records.filter(({ status, whose, login }) => status === 200 && whose !== login).map(inWords), []);
  assert.deepEqual(records.filter(({ until, began }) => until < began).map(inWords), [], 'access tokens sent after their end');
  assert.deepEqual(records.filter(({ refused }) => refused).map(inWords), [], 'cookies that a browser would refuse');
}
