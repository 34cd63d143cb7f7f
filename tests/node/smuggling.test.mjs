// sealgate behind a real nginx that keeps its connections: whatever one client sends, the next gets its own answer.
//
// The requests are those of tests/corpus/requests.toml, which tests/it/corpus.rs sends without nginx (D6, D8). Here it
// does not matter who refuses them, only that the two agree on where each ends.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, get } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';

import { startNginx } from './lib/nginx.mjs';
import { freePorts } from './lib/ports.mjs';
import { scratch, startSealgate, sweep, tail } from './lib/sealgate.mjs';
import { PATIENCE_MS } from './lib/waiting.mjs';

/** No answer depends on it: whatever nginx had to say after that long belongs to nobody. */
const QUIET_MS = 150;
const NEXT = 'GET /open/next HTTP/1.1\r\nhost: shop.test\r\nx-csrf: 1\r\n\r\n';
const TABLES = `
[frontend.shop.route.open]
path     = "/open"
upstream = "echo"
token    = "none"
[frontend.shop.route.ws]
path      = "/ws"
upstream  = "echo"
token     = "none"
websocket = true
`;
/** As nginx is told to pass WebSocket on; `Connection` is empty where the client sends none, so connections are kept. */
const LOCATION = `
proxy_http_version 1.1;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $http_connection;
proxy_request_buffering off;
proxy_next_upstream off;
`;

/** Names and bytes; TOML's basic strings are JSON's here. */
async function corpus() {
  const text = await readFile(new URL('../corpus/requests.toml', import.meta.url), 'utf8');
  const cases = [...text.matchAll(/^\[(\S+)\].*\nbytes\s*= (".*")$/gm)];
  assert.ok(cases.length > 50, `only ${cases.length} cases`);
  return cases.map(([, name, bytes]) => ({ name, bytes: JSON.parse(bytes).replace('{next}', NEXT) }));
}

/** An API that says which path it was asked for, and whose WebSocket says back what it hears. */
async function startApi(t) {
  const server = createServer(async (req, res) => {
    for await (const _ of req);
    res.end(JSON.stringify({ url: req.url }));
  });
  server.on('upgrade', (req, socket) => {
    const accept = createHash('sha1').update(`${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
      + `Sec-WebSocket-Accept: ${accept.digest('base64')}\r\n\r\n`);
    // One short frame at a time, which is all that the story sends.
    socket.on('data', (frame) => {
      const payload = frame.subarray(6).map((byte, at) => byte ^ frame[2 + (at % 4)]);
      socket.write(Buffer.concat([Buffer.from([frame[0], payload.length]), payload]));
    }).on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  return { url: `http://127.0.0.1:${server.address().port}` };
}

async function setScene(t) {
  const dir = await scratch();
  t.after(() => sweep(dir));
  const [port, adminPort, front] = await freePorts(3);
  const sealgate = await startSealgate({
    dir, port, adminPort, api: await startApi(t), origin: 'https://shop.test', tables: TABLES, log: 'info',
    op: { issuer: 'http://127.0.0.1:1', clientId: 'shop', clientSecret: 'unused' },
  });
  t.after(() => sealgate.stop());
  const nginx = await startNginx({ dir, port: front, backends: [port], location: LOCATION, upstream: 'keepalive 4;' });
  t.after(() => nginx.stop());
  return { sealgate, front };
}

/** Sends bytes, and waits until the other side closes or has nothing more to say for a while. */
async function send(port, bytes) {
  const socket = connect({ host: '127.0.0.1', port });
  socket.resume().on('error', () => {});
  socket.setTimeout(QUIET_MS, () => socket.destroy());
  socket.write(Buffer.from(bytes, 'utf8'));
  await once(socket, 'close', { signal: AbortSignal.timeout(PATIENCE_MS) });
}

/** A connection that is read up to what it must say, however long that takes. */
function talk(t, port, bytes) {
  const socket = connect({ host: '127.0.0.1', port });
  t.after(() => socket.destroy());
  socket.write(bytes);
  let heard = Buffer.alloc(0);
  return {
    socket,
    async until(mark) {
      while (!heard.includes(mark)) heard = Buffer.concat([heard, (await once(socket, 'data'))[0]]);
      return heard.toString('latin1');
    },
  };
}

function honest(port, path) {
  const options = { host: '127.0.0.1', port, path, agent: false, headers: { host: 'shop.test', 'x-csrf': '1' } };
  return new Promise((resolve, reject) => {
    get(options, (res) => {
      let body = '';
      res.setEncoding('utf8').on('data', (text) => { body += text; });
      res.on('end', () => resolve({ status: res.statusCode, body })).on('error', reject);
    }).on('error', reject);
  });
}

test('no request desynchronises nginx and sealgate', async (t) => {
  const { sealgate, front } = await setScene(t);
  for (const { name, bytes } of await corpus()) {
    await send(front, bytes);
    for (let n = 0; n < 3; n += 1) {
      const path = `/honest/${name}/${n}`;
      const answer = await honest(front, `/open${path}`);
      assert.deepEqual(answer, { status: 200, body: JSON.stringify({ url: `/v1${path}` }) }, `after ${name}`);
    }
  }
  assert.deepEqual(await sealgate.stop(), { code: 0, signal: null }, tail(sealgate.output));
});

test('a WebSocket goes through nginx and sealgate, and not from elsewhere', async (t) => {
  const { front } = await setScene(t);
  const handshake = (origin) => `GET /ws/a HTTP/1.1\r\nhost: shop.test\r\norigin: ${origin}\r\nconnection: Upgrade\r\n`
    + 'upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
  assert.match(await talk(t, front, handshake('https://evil.test')).until('\r\n\r\n'), /^HTTP\/1\.1 403 /);
  const { socket, until } = talk(t, front, handshake('https://shop.test'));
  const accepted = await until('\r\n\r\n');
  assert.match(accepted, /^HTTP\/1\.1 101 /);
  assert.match(accepted, /s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/);
  for (const text of ['one', 'two']) {
    const mask = Buffer.from([1, 2, 3, 4]);
    const masked = Buffer.from(text).map((byte, at) => byte ^ mask[at % 4]);
    socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | masked.length]), mask, masked]));
    await until(Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]));
  }
});
