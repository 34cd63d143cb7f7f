// Each proxy of src/server/deploy in front of sealgate, with the file that the project gives: login, large sessions, event
// streams, WebSocket, and the client's address.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { request } from 'node:https';
import { test } from 'node:test';

import { Browser } from './lib/browser.mjs';
import { startApi } from './lib/api.mjs';
import { atEnd } from './lib/ends.mjs';
import { FRONTS, startFront } from './lib/front.mjs';
import { startOp } from './lib/op.mjs';
import { passSignIn } from './lib/person.mjs';
import { freePorts } from './lib/ports.mjs';
import { installed } from './lib/programs.mjs';
import { scratch, startSealgate, sweep } from './lib/sealgate.mjs';
import { makeCertificate } from './lib/tls.mjs';
import { noise } from './lib/tokens.mjs';
import { HANGS_MS } from './lib/waiting.mjs';

const CSRF = { 'x-csrf': '1' };
/** Envoy is not in Debian: `ENVOY_BIN` says where it is. The others are required. */
const NAMES = Object.keys(FRONTS).filter((name) => name !== 'envoy' || installed('envoy'));

for (const name of NAMES) {
  test(`${name} in front`, { timeout: HANGS_MS }, async (t) => {
    const scene = await behind(t, name);
    const { origin, op, api, browser, log } = scene;
    // About 7.5 KiB of cookies: near the budget.
    op.extraClaims = () => ({ filler: noise(5200) });
    await browser.open(`${origin}/bff/login?returnUrl=%2Fbff%2Fsession`);
    await passSignIn(browser, op);
    const callback = browser.answers.findLast(({ url }) => new URL(url).pathname === '/bff/callback');
    assert.equal(callback.status, 303, `${callback.body}\n${log()}`);
    const answer = await browser.fetch('/api/echo/a%20b?x=%20y&x=', { headers: CSRF, page: new URL(origin) });
    assert.equal(answer.status, 200, `${answer.body}\n${log()}`);
    assert.ok(answer.sentCookie.length > 6000, `${answer.sentCookie.length} bytes of cookies`);
    assert.equal(api.last().url, '/v1/a%20b?x=%20y&x=', 'the path as it was sent');
    assert.deepEqual(browser.jar.refused, []);

    const cookie = answer.sentCookie;
    const large = await scene.call('/api/echo/upload', { method: 'POST', headers: { origin }, cookie, body: Buffer.alloc(1 << 20, 97) });
    assert.equal(large.status, 200, `an upload of 1 MiB\n${log()}`);
    assert.equal(api.last().body.length, 1 << 20);

    // The client says that it is somebody else.
    await scene.call('/api/echo/who', { cookie, headers: { 'x-forwarded-for': '203.0.113.9' }, localAddress: '127.0.0.9' });
    assert.equal(api.last().headers['x-forwarded-for'], '127.0.0.9', 'the client, and not who it says it is');
    assert.equal(api.last().headers['x-forwarded-proto'], 'https');

    const first = await scene.firstEvent('/api/echo/events', cookie);
    assert.equal(first, 'data: 1\n\n', 'an event arrives while the stream goes on');
    assert.equal(await scene.upgraded('/ws/chat', cookie), 'hello', `WebSocket\n${log()}`);
  });
}

/** Provider, API, sealgate and the proxy. */
async function behind(t, name) {
  const dir = await scratch();
  atEnd(t, () => sweep(dir));
  const [front, port, adminPort] = await freePorts(3);
  const origin = `https://localhost:${front}`;
  const tls = makeCertificate(dir);
  const op = await startOp({ origin, accessTokens: 'jwt' });
  atEnd(t, () => op.stop());
  const api = await startApi({ accepts: op.accessTokenLives });
  atEnd(t, () => api.stop());
  const chat = await startChat();
  atEnd(t, chat.stop);
  const tables = `
[upstream.chat]
url = "${chat.url}"

[frontend.shop.route.chat]
path      = "/ws"
upstream  = "chat"
token     = "user"
websocket = true
`;
  const sealgate = await startSealgate({
    dir, origin, port, adminPort, op, api, tables, log: 'info', server: { trusted_proxies: ['127.0.0.1/32'] },
  });
  atEnd(t, () => sealgate.stop());
  const proxy = await startFront(name, { dir, front, port, adminPort, tls });
  atEnd(t, () => proxy.stop());
  const browser = new Browser({ ca: tls.pem });
  atEnd(t, () => browser.close());

  const open = (path, { method = 'GET', headers = {}, cookie, ...options }) => request(`${origin}${path}`, {
    method, ca: tls.pem, agent: false, family: 4, headers: { ...CSRF, cookie, 'sec-fetch-site': 'same-origin', ...headers }, ...options,
  });
  return {
    origin, op, api, browser,
    log: () => `${proxy.log()}\n${sealgate.output}`,
    async call(path, { body, ...options }) {
      const sent = open(path, options);
      sent.end(body);
      const [answer] = await once(sent, 'response');
      answer.resume();
      await once(answer, 'end');
      return { status: answer.statusCode };
    },
    async firstEvent(path, cookie) {
      const sent = open(path, { cookie, headers: { accept: 'text/event-stream' } });
      sent.end();
      const [answer] = await once(sent, 'response');
      const [chunk] = await once(answer, 'data');
      answer.on('error', () => {});
      sent.destroy();
      return chunk.toString();
    },
    async upgraded(path, cookie) {
      const sent = open(path, {
        cookie,
        headers: {
          origin, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13',
          'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-fetch-mode': 'websocket', 'sec-fetch-dest': 'websocket',
        },
      });
      sent.end();
      const socket = await new Promise((resolve, reject) => {
        sent.on('upgrade', (_, connection, head) => {
          connection.unshift(head);
          resolve(connection);
        });
        sent.on('response', (answer) => reject(new Error(`${answer.statusCode} instead of 101`)));
        sent.on('error', reject);
      });
      const [frame] = await once(socket, 'data');
      socket.destroy();
      return frame.subarray(2).toString();
    },
  };
}

/** A WebSocket server that says hello. */
async function startChat() {
  const sockets = new Set();
  const server = createServer().on('upgrade', (req, socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    const accept = createHash('sha1').update(`${req.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${
      accept.digest('base64')}\r\n\r\n`);
    socket.write(Buffer.concat([Buffer.from([0x81, 5]), Buffer.from('hello')]));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
