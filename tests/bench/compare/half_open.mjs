// Connections that clients leave half finished: what they cost, how long they are borne, and whether a user notices.
//
// Each kind has a sealgate process of its own, so all kinds that fit into this program's files are held at the same time.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePorts } from '../../node/lib/ports.mjs';
import { makeCertificate } from '../../node/lib/tls.mjs';
import { sealgateSession } from './contestants/sealgate.mjs';
import { watchRss } from './lib/accounts.mjs';
import { NotOffered, STATES } from './lib/half_open.mjs';
import { openLane } from './lib/lane.mjs';
import { cores as findCores, describeMachine, descriptors } from './lib/machine.mjs';
import { options } from './lib/options.mjs';
import { bounded } from './lib/processes.mjs';
import { ask } from './lib/streams.mjs';
import { figure, median, table } from './lib/table.mjs';
import { startUpstream } from './lib/upstream.mjs';

const AIM = { mebibytes: 60, seconds: 90 };
const AT_ONCE = 32;
const OTHER_FILES = 500;
const PROBE_EVERY_MS = 1000;
const PROBE_MS = 5000;

const given = options({ connections: 2000, hold: 120, only: STATES.map(({ id }) => id).join(',') }, `\
usage: run half-open [--connections N] [--hold S] [--only a,b]

  --connections  how many of each kind (2000)
  --hold         how many seconds they are held, at most (120)
  --only         some of ${STATES.map(({ id }) => id)}`);
const wanted = given.only.split(',');
const unknown = wanted.filter((id) => !STATES.some((state) => state.id === id));
if (unknown.length) {
  console.error(`--only: no kind ${unknown}; there are ${STATES.map(({ id }) => id)}`);
  process.exit(64);
}
const room = Math.floor((descriptors() - OTHER_FILES) / given.connections);
if (room < 1) {
  console.error(`--connections: a process here may open ${descriptors()} files`);
  process.exit(64);
}
const states = STATES.filter(({ id }) => wanted.includes(id));
const waves = Math.ceil(states.length / room);
const perWave = Math.ceil(states.length / waves);

await bounded(120 + waves * (given.hold + 240), async ({ processes, dir, ends }) => {
  const cores = findCores();
  console.log(`# Half-open connections\n\n${describeMachine(cores)}\n`);
  const [port] = await freePorts(1);
  const upstream = await startUpstream({ processes, dir, port, core: cores.load });
  const scene = { processes, dir, ends, upstream, cores };
  const certificate = makeCertificate(dir);
  const rows = [];
  let version;
  for (let at = 0; at < states.length; at += perWave) {
    const held = await Promise.all(states.slice(at, at + perWave).map(async (state) => {
      const lane = await openLane(sealgateSession, { ...scene, more: { tls: state.tls && certificate }, place: state.id });
      version = lane.version;
      const row = await hold(state, lane);
      console.error(`${state.name}: done`);
      await lane.stop();
      return row;
    }));
    rows.push(...held);
  }
  console.log([
    `${version}, one worker; ${given.connections} connections of each kind, held for ${given.hold} s at most.`,
    `Aim: under ${AIM.mebibytes} MiB, all gone within ${AIM.seconds} s, and a signed-in user is answered each time, once a second on a new connection.`,
    table([
      'connections with', 'aim reached', 'RSS before MiB', 'peak', 'after', 'at once', 'gone after s, median', 'longest', 'still there', 'user answered', 'slowest ms',
    ], rows, { texts: 2 }),
  ].join('\n\n'));
});

/** Opens all of one kind, and waits until they are gone or the time is up. */
async function hold(state, lane) {
  const before = lane.rss();
  const peak = watchRss(lane.pid);
  const user = watchUser(lane);
  const ages = [];
  const sockets = [];
  let opened = 0;
  let mostAtOnce = 0;
  const open = async () => {
    while (opened < given.connections) {
      opened += 1;
      const socket = await state.reach(lane);
      const reached = performance.now();
      sockets.push(socket);
      mostAtOnce = Math.max(mostAtOnce, sockets.length - ages.length);
      if (socket.closed) ages.push(0);
      else socket.once('close', () => ages.push((performance.now() - reached) / 1000));
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, open));
  } catch (error) {
    for (const socket of sockets) socket.destroy();
    await user.stop();
    peak();
    if (error instanceof NotOffered) return [state.name, error.message];
    return [state.name, `cannot be reached: ${error.message}`];
  }
  for (const deadline = Date.now() + given.hold * 1000; ages.length < sockets.length && Date.now() < deadline;) await sleep(200);
  const [most, after, gone] = [peak(), lane.rss(), [...ages]];
  const { asked, answered, slowest } = await user.stop();
  for (const socket of sockets) socket.destroy();
  const left = sockets.length - gone.length;
  const longest = Math.max(...gone);
  const reached = most < AIM.mebibytes && left === 0 && longest <= AIM.seconds && answered === asked;
  return [
    state.name, reached ? 'yes' : '**no**', figure(before), figure(most), figure(after), String(mostAtOnce), gone.length ? figure(median(gone)) : '–',
    left ? `over ${given.hold}` : figure(longest), String(left), `${answered} of ${asked}`, figure(slowest),
  ];
}

/** Asks for something as a signed-in user, again and again, each time on a new connection. */
function watchUser(lane) {
  const seen = { asked: 0, answered: 0, slowest: 0 };
  let over = false;
  const done = (async () => {
    while (!over) {
      const began = performance.now();
      seen.asked += 1;
      try {
        const asked = ask(lane, `${lane.path}/1k.json`, { 'x-csrf': '1' });
        asked.setTimeout(PROBE_MS, () => asked.destroy(new Error('no answer'))).end();
        const [answer] = await once(asked, 'response');
        answer.resume();
        await once(answer, 'end');
        if (answer.statusCode === 200) seen.answered += 1;
      } catch {
        // Not answered: that is what is counted.
      }
      seen.slowest = Math.max(seen.slowest, performance.now() - began);
      await sleep(PROBE_EVERY_MS);
    }
  })();
  return {
    async stop() {
      over = true;
      await done;
      return seen;
    },
  };
}
