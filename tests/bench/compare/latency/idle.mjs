// What it takes to keep connections that do nothing: each has had one answer and waits, or is an event stream between two events.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';

import { bareNginx } from '../contestants/nginx.mjs';
import { sealgateSession } from '../contestants/sealgate.mjs';
import { Cell } from '../lib/cells.mjs';
import { openLane } from '../lib/lane.mjs';
import { descriptors } from '../lib/machine.mjs';
import { ANSWERS } from '../lib/upstream.mjs';

const AT_ONCE = 32;
/** Longer than a connection of sealgate keeps its buffers (a second). */
const SETTLE_MS = 3000;
/** Of the program that opens them, and of each proxy, beside those that are counted. */
const OTHER_DESCRIPTORS = 500;
/** With less than a sixteenth of its connections free, nginx closes those that are idle. */
const NGINX_SPARE = 1.25;
const KIB_PER_MIB = 1024;
/** Fewer than a worker of sealgate has connections to one upstream by default (1,024). */
const STREAMS = 500;
const EVENT = 'data: 1\n\n';
const [{ file, bytes }] = ANSWERS;

export async function idle(scene) {
  const { plan, certificate } = scene;
  const [cells, remarks] = [[], []];
  for (const { count, tls } of plan.idle.flatMap((each) => [{ count: each }, { count: each, tls: certificate }])) {
    const over = tls ? 'TLS' : 'HTTP';
    if (tls && count > plan.idleTls) continue;
    if (count + OTHER_DESCRIPTORS > descriptors()) {
      remarks.push(`${count} idle connections over ${over}: not tried, a process here may open ${descriptors()} files`);
      continue;
    }
    const cell = new Cell({ part: 'idle', over, what: `${count} kept connections` });
    cells.push(cell);
    for (const contestant of [bareNginx, sealgateSession]) {
      const more = { tls, connections: Math.ceil(count * NGINX_SPARE) };
      const lane = await openLane(contestant, { ...scene, more, place: `idle-${over}-${count}-${contestant.id}` });
      cell.add(lane, await keep(lane, count));
      await lane.stop();
    }
    console.error(`idle over ${over}: ${count} done`);
  }
  const cell = new Cell({ part: 'idle', over: 'HTTP', what: `${STREAMS} event streams` });
  cells.push(cell);
  const streams = await quietStreams(scene.ends);
  for (const contestant of [bareNginx, sealgateSession]) {
    const more = { streams, connections: STREAMS * 4 };
    const lane = await openLane(contestant, { ...scene, more, place: `streams-${contestant.id}` });
    cell.add(lane, await keep(lane, STREAMS, { path: '/streams/quiet', isWhole: (body) => body.includes(EVENT) }));
    await lane.stop();
  }
  return { cells, remarks };
}

/** An API whose streams have one event each, and never end. */
async function quietStreams(ends) {
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(EVENT);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => { server.close(); server.closeAllConnections(); });
  return { url: `http://127.0.0.1:${server.address().port}` };
}

async function keep(lane, count, asked) {
  const before = lane.rss();
  const sockets = [];
  let ended = 0;
  const open = async () => {
    while (sockets.length < count) {
      const socket = dial(lane).on('close', () => { ended += 1; });
      sockets.push(socket);
      await answered(socket, lane, asked);
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, open));
    await sleep(SETTLE_MS);
    const rss = lane.rss();
    if (ended) throw new Error(`${lane.name}: ${ended} of ${count} connections have ended`);
    return { rss, each: (rss - before) * KIB_PER_MIB / count };
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

const dial = ({ port, tls }) => (tls
  ? connectTls({ host: '127.0.0.1', port, servername: 'localhost', ca: tls.pem })
  : connectTcp({ host: '127.0.0.1', port }));

/** One request, and its whole answer, or as much as there is of a stream. */
async function answered(socket, { host, path: below, cookie, tls }, asked) {
  const { path, isWhole } = asked ?? { path: `${below}/${file}`, isWhole: (body) => body.length >= bytes };
  await once(socket, tls ? 'secureConnect' : 'connect');
  const answer = new Promise((resolve, reject) => {
    let text = '';
    socket.setEncoding('latin1').on('data', (more) => {
      text += more;
      const head = text.indexOf('\r\n\r\n');
      if (head < 0 || !isWhole(text.slice(head + 4))) return;
      if (text.startsWith('HTTP/1.1 200 ')) resolve();
      else reject(new Error(`answers ${text.split('\r\n')[0]}`));
    }).on('error', reject).on('close', () => reject(new Error(`closed after ${JSON.stringify(text.slice(0, 100))}`)));
  });
  socket.write([
    `GET ${path} HTTP/1.1`, `Host: ${host}`, 'X-CSRF: 1', ...(cookie ? [`Cookie: ${cookie}`] : []), '', '',
  ].join('\r\n'));
  await answer;
}
