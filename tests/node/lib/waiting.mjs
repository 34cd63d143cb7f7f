// Waiting for something to become so: patient, because the machine may be loaded, and with a report if it never does.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long a story waits for what must come: only a failure takes so long, however loaded the machine is. */
export const PATIENCE_MS = 60_000;
/** How long a whole story may take before it counts as one that hangs. */
export const HANGS_MS = 300_000;

/** Returns what `condition` gives as soon as it holds; `report` says more if it never does. It is looked at every `pause` ms. */
export async function eventually(what, condition, report = () => '', pause = 30) {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(pause)) {
    const found = await condition();
    if (found) return found;
  }
  return assert.fail(`${what}, within ${PATIENCE_MS / 1000} s\n${await report()}`);
}

/** Does `work` for each of `items`, at most `atOnce` of them at a time. */
export async function each(items, atOnce, work) {
  const queue = [...items];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  }));
}

/** What all of the works give. Of failures the first is thrown, after the others have ended. */
export async function allOf(works) {
  const ends = await Promise.allSettled(works);
  const failure = ends.find(({ status }) => status === 'rejected');
  if (failure) throw failure.reason;
  return ends.map(({ value }) => value);
}

/** Lets so many works go on at a time; the others wait. */
export class Turns {
  #free;
  #waiting = [];

  constructor(atOnce) {
    this.#free = atOnce;
  }

  async take(work) {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise((resolve) => { this.#waiting.push(resolve); });
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}
