// What it takes to keep connections that do nothing: each has had one answer, and waits.
import { once } from 'node:events';
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
  return { cells, remarks };
}

async function keep(lane, count) {
  const before = lane.rss();
  const sockets = [];
  let ended = 0;
  const open = async () => {
    while (sockets.length < count) {
      const socket = dial(lane).on('close', () => { ended += 1; });
      sockets.push(socket);
      await answered(socket, lane);
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

/** One request, and its whole answer. */
async function answered(socket, { host, path, cookie, tls }) {
  await once(socket, tls ? 'secureConnect' : 'connect');
  const answer = new Promise((resolve, reject) => {
    let text = '';
    socket.setEncoding('latin1').on('data', (more) => {
      text += more;
      const head = text.indexOf('\r\n\r\n');
      if (head < 0 || text.length < head + 4 + bytes) return;
      if (text.startsWith('HTTP/1.1 200 ')) resolve();
      else reject(new Error(`answers ${text.split('\r\n')[0]}`));
    }).on('error', reject).on('close', () => reject(new Error(`closed after ${JSON.stringify(text.slice(0, 100))}`)));
  });
  socket.write([
    `GET ${path}/${file} HTTP/1.1`, `Host: ${host}`, 'X-CSRF: 1', ...(cookie ? [`Cookie: ${cookie}`] : []), '', '',
  ].join('\r\n'));
  await answer;
}
