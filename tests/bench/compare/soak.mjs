// Whether memory stays flat: many distinct sessions in turns for many minutes, and the resident size every ten seconds.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { freePorts } from '../../node/lib/ports.mjs';
import { sealgateSession } from './contestants/sealgate.mjs';
import { openLane } from './lib/lane.mjs';
import { measure } from './lib/load.mjs';
import { cores as findCores, describeMachine } from './lib/machine.mjs';
import { options } from './lib/options.mjs';
import { bounded } from './lib/processes.mjs';
import { figure, median } from './lib/table.mjs';
import { SIZES, startUpstream } from './lib/upstream.mjs';

const SCRIPT = fileURLToPath(new URL('lib/many.lua', import.meta.url));
const EVERY_MS = 10_000;
/** Nothing has to be renewed for so long (sealgate's `seen` cookie: a tenth of its idle timeout of 8 h). */
const LONGEST_MINUTES = 45;
const given = options({ sessions: 10_000, minutes: 30, pause: 0 }, `\
usage: run soak [--sessions N] [--minutes M] [--pause MS]

  --sessions  how many distinct sessions (10000); each is a login, of some milliseconds
  --minutes   how long they are sent in turns (30); at most ${LONGEST_MINUTES}, the logins included
  --pause     how long each of the 32 connections waits before it asks again, in milliseconds (0)`);
if (given.minutes > LONGEST_MINUTES) {
  console.error(`--minutes: at most ${LONGEST_MINUTES}`);
  process.exit(64);
}

await bounded(300 + given.sessions * 0.3 + given.minutes * 60, async ({ processes, dir, ends }) => {
  const cores = findCores();
  console.log(`# A soak\n\n${describeMachine(cores)}\n`);
  const [port] = await freePorts(1);
  const upstream = await startUpstream({ processes, dir, port, core: cores.load });
  const lane = await openLane(sealgateSession, { processes, dir, ends, upstream, cores });
  const began = Date.now();
  const say = (what) => console.log(`${((Date.now() - began) / 1000).toFixed(0).padStart(5)} s  RSS ${figure(lane.rss())} MiB  ${what}`);
  say('idle, one session');

  const cookies = [];
  for (let step = Date.now(); cookies.length < given.sessions;) {
    // Who is signed in at the provider comes back with a new session at once. As somebody new: who comes with a session
    // gets a mark that it has ended, too.
    forget(lane);
    await lane.browser.open(`${lane.origin}${sealgateSession.signIn}`);
    await lane.prepare();
    cookies.push(lane.cookie);
    lane.browser.answers.length = 0;
    if (Date.now() - step > EVERY_MS) {
      say(`${cookies.length} sessions`);
      step = Date.now();
    }
  }
  if (new Set(cookies).size !== cookies.length) throw new Error('sessions repeat');
  const file = join(dir, 'cookies');
  await writeFile(file, `${cookies.join('\n')}\n`, { mode: 0o600 });
  say(`${cookies.length} distinct sessions, ${figure(median(cookies.map(({ length }) => length)))} bytes each`);

  const sizes = [];
  const timer = setInterval(() => { sizes.push(lane.rss()); say('under load'); }, EVERY_MS);
  const { requests, micros, rss } = await measure(
    { ...lane, path: `${lane.path}/${SIZES[0].file}`, cookie: undefined, script: SCRIPT, env: { COOKIES: file, PAUSE: String(given.pause) } },
    { processes, core: cores.load, upstream, seconds: Math.round(given.minutes * 60) },
  ).finally(() => clearInterval(timer));
  if (lane.remarks.size) throw new Error([...lane.remarks].join('; '));
  const third = Math.ceil(sizes.length / 3);
  const [first, last] = [sizes.slice(0, third), sizes.slice(-third)];
  say(`${requests} requests, ${figure(micros)} CPU µs each; peak ${figure(rss)} MiB`);
  if (sizes.length > 2) console.log(`median RSS of the first third ${figure(median(first))} MiB, of the last third ${figure(median(last))} MiB`);
});

/** Takes the application's cookies from the browser; the provider's, of another host, stay. */
function forget({ origin, browser: { jar } }) {
  const url = new URL(origin);
  jar.store(url, [...jar.of(url.hostname).values()].map(({ name, path }) => `${name}=; Path=${path}; Max-Age=0`));
}
