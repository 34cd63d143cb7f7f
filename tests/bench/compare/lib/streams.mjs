// The lasting API as a process of its own, and who listens to it through a proxy.
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { lookup } from '../../../node/lib/alpn.mjs';
import { freePorts } from '../../../node/lib/ports.mjs';
import { request } from '../../../node/lib/sealgate.mjs';
import { until } from './processes.mjs';

const APP = fileURLToPath(new URL('streams_app.mjs', import.meta.url));
const ANSWER_MS = 10_000;

export async function startStreams({ processes, dir: parent, cores }) {
  const dir = join(parent, 'streams');
  await mkdir(dir);
  const [port] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const started = processes.start(process.execPath, [APP], { core: cores.load, cwd: dir, env: { PORT: String(port) } });
  await until('the upstream of streams', started, async () => (await request(url)).status === 404);
  return { port, url };
}

/** A GET on a connection of its own, as a page of the application makes it; gives the request, not yet sent. */
export function ask({ origin, tls, cookie }, path, headers = {}) {
  return (tls ? httpsRequest : httpRequest)(`${origin}${path}`, {
    agent: false,
    ca: tls?.pem,
    lookup,
    noDelay: true,
    headers: {
      'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors', 'sec-fetch-dest': 'empty', ...(cookie ? { cookie } : {}), ...headers,
    },
  });
}

/** Listens to events; `take` gets each one's age in milliseconds. Gives what ends it. */
export async function listen(lane, take) {
  const asked = ask(lane, '/streams/events', { accept: 'text/event-stream' });
  asked.setTimeout(ANSWER_MS, () => asked.destroy(new Error('no event'))).end();
  const [answer] = await once(asked, 'response');
  if (answer.statusCode !== 200) throw new Error(`event stream: ${answer.statusCode}`);
  let rest = '';
  let failed;
  answer.setEncoding('utf8').on('data', (text) => {
    const now = process.hrtime.bigint();
    const events = (rest + text).split('\n\n');
    rest = events.pop();
    for (const event of events) take(Number(now - BigInt(event.slice('data: '.length, event.indexOf(' ', 6)))) / 1e6);
  }).on('error', (error) => { failed = error; });
  return () => {
    answer.destroy();
    if (failed) throw failed;
  };
}

/** Opens a WebSocket; gives `{ socket, head }` once it is open. */
export async function openWebSocket(lane) {
  const asked = ask(lane, '/streams/echo', {
    origin: lane.origin,
    'sec-fetch-mode': 'websocket',
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': randomBytes(16).toString('base64'),
  });
  asked.end();
  return new Promise((resolve, reject) => {
    asked.setTimeout(ANSWER_MS, () => asked.destroy(new Error('no answer to a WebSocket handshake')));
    asked.on('error', reject);
    asked.on('response', ({ statusCode }) => reject(new Error(`WebSocket handshake: ${statusCode}`)));
    asked.on('upgrade', (_answer, socket, head) => {
      socket.setTimeout(0);
      socket.on('error', () => {});
      resolve({ socket, head });
    });
  });
}
