// What comes by itself: the age of server-sent events on arrival, and the round trip of WebSocket messages.
import { setTimeout as sleep } from 'node:timers/promises';

import { bareNginx } from '../contestants/nginx.mjs';
import { sealgateSession } from '../contestants/sealgate.mjs';
import { cpuSeconds, watchRss } from '../lib/accounts.mjs';
import { Cell } from '../lib/cells.mjs';
import { openLanes } from '../lib/lane.mjs';
import { listen, openWebSocket, startStreams } from '../lib/streams.mjs';
import { percentile } from '../lib/table.mjs';
import { frame, onMessages } from '../lib/websocket.mjs';

const MESSAGES = [{ name: '32 bytes', bytes: 32 }, { name: '64 KiB', bytes: 64 * 1024 }];

export const events = (scene) => drive(scene, 'events', scene.plan.streams.map((connections) => ({
  what: 'bursts of three', connections, once: (lane, seconds) => hear(lane, connections, seconds),
})));

export const websocket = (scene) => drive(scene, 'WebSocket', MESSAGES.flatMap(({ name, bytes }) => (
  scene.plan.streams.map((connections) => ({ what: name, connections, once: (lane, seconds) => talk(lane, connections, bytes, seconds) })))));

async function drive(scene, part, loads) {
  const { plan, certificate } = scene;
  scene.streams ??= await startStreams(scene);
  const all = [];
  for (const tls of [undefined, certificate]) {
    const over = tls ? 'TLS' : 'HTTP';
    const lanes = await openLanes([bareNginx, sealgateSession], scene, { place: `${part}-${over}`, tls, streams: scene.streams });
    const cells = loads.map(({ what, connections }) => new Cell({ part, over, what, connections }));
    all.push(...cells);
    for (const lane of lanes) await loads[0].once(lane, 1);
    for (let round = 0; round < plan.rounds; round += 1) {
      for (const [at, { once }] of loads.entries()) {
        for (const lane of round % 2 ? lanes.toReversed() : lanes) cells[at].add(lane, await once(lane, plan.seconds));
      }
    }
    for (const lane of lanes) await lane.stop();
    console.error(`${part} over ${over}: done`);
  }
  return { cells: all };
}

/** The ages of all events on so many streams, in milliseconds. */
async function hear(lane, connections, seconds) {
  const ages = [];
  const ends = await Promise.all(Array.from({ length: connections }, () => listen(lane, (age) => ages.push(age))));
  const spent = account(lane);
  ages.length = 0;
  await sleep(seconds * 1000);
  const result = spent(ages);
  for (const end of ends) end();
  // How many there are is the upstream's affair.
  return { ...result, rps: undefined };
}

/** The round trips of messages, each sent when the one before has come back. */
async function talk(lane, connections, bytes, seconds) {
  const opened = await Promise.all(Array.from({ length: connections }, () => openWebSocket(lane)));
  const message = frame(Buffer.alloc(bytes, 'x'), { masked: true });
  const times = [];
  const spent = account(lane);
  let over = false;
  await Promise.all(opened.map(({ socket, head }) => new Promise((resolve, reject) => {
    let sent;
    const send = () => {
      sent = process.hrtime.bigint();
      socket.write(message);
    };
    socket.setTimeout(10_000, () => reject(new Error('no echo'))).on('close', () => (over ? resolve() : reject(new Error('the WebSocket was closed'))));
    onMessages(socket, head, (payload) => {
      times.push(Number(process.hrtime.bigint() - sent) / 1e6);
      if (payload.length !== bytes) reject(new Error(`an echo of ${payload.length} bytes`));
      else if (over) resolve();
      else send();
    });
    send();
    setTimeout(() => { over = true; }, seconds * 1000);
  })));
  const result = spent(times);
  for (const { socket } of opened) socket.destroy();
  return result;
}

/** Below this the kernel's ticks of a hundredth of a second say little. */
const COUNTED_CPU_SECONDS = 0.1;

/** Begins to count what a proxy uses; the function that it gives takes the times that were measured meanwhile. */
function account({ pid }) {
  const [cpu, began, peak] = [cpuSeconds(pid), performance.now(), watchRss(pid)];
  return (times) => {
    const [used, passed] = [cpuSeconds(pid) - cpu, (performance.now() - began) / 1000];
    const rss = peak();
    if (!times.length) throw new Error('nothing arrived');
    return {
      rps: times.length / passed, micros: used < COUNTED_CPU_SECONDS ? undefined : used * 1e6 / times.length, p50: percentile(times, 0.5), p99: percentile(times, 0.99), rss, busy: used / passed,
    };
  };
}
