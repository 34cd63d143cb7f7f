// sealgate behind a cache that keeps whatever it may, for addresses alone: everybody gets their own answer (D27, D28).
//
// A request of a browser has a cookie where the API sees `Authorization`, so RFC 9111 §3.5 protects nobody here: what
// keeps an answer out of the cache is what sealgate says of it.
import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { once } from 'node:events';
import { test } from 'node:test';

import { startApi } from './lib/api.mjs';
import { Browser } from './lib/browser.mjs';
import { atEnd } from './lib/ends.mjs';
import { startNginx } from './lib/nginx.mjs';
import { startOp } from './lib/op.mjs';
import { awaitTokenEnd, passSignIn } from './lib/person.mjs';
import { freePorts } from './lib/ports.mjs';
import { scratch, startSealgate, sweep } from './lib/sealgate.mjs';
import { HANGS_MS } from './lib/waiting.mjs';

/** What an API might say of an answer; the first says nothing. */
const CONTROLS = ['', 'public', 'public, max-age=60', 'max-age=60', 's-maxage=60', 'must-revalidate, max-age=60'];

/** By address, for a minute where nothing else is said, and blind for what else might warn it; `X-Cache` tells how it went. */
const CACHE = {
  http: (dir) => `proxy_cache_path ${dir}/cache keys_zone=cache:1m;`,
  location: `
proxy_http_version 1.1;
proxy_cache cache;
proxy_cache_key $request_uri;
proxy_cache_valid 200 1m;
proxy_ignore_headers Set-Cookie Vary;
add_header X-Cache $upstream_cache_status always;
`,
};

test('a cache in front gives nobody the answer or the cookies of another', { timeout: HANGS_MS }, async (t) => {
  const scene = await setScene(t);
  const { op, ask } = scene;
  const [{ cookies: ada }, { cookies: bob }] = [await scene.signIn(), await scene.signIn()];

  await t.test('it keeps what is nobody\'s', async () => {
    const first = await ask('/open/x?control=public,max-age=60', '');
    const second = await ask('/open/x?control=public,max-age=60', ada);
    assert.deepEqual([first.headers['x-cache'], second.headers['x-cache']], ['MISS', 'HIT']);
    assert.equal(second.body, first.body);
  });

  await t.test('and nothing that is somebody\'s', async () => {
    for (const route of ['api/echo', 'maybe']) {
      for (const control of CONTROLS) {
        const path = `/${route}/x?control=${encodeURIComponent(control)}`;
        const answers = [];
        for (const cookie of [ada, bob, ada, bob]) answers.push(await ask(path, cookie));
        const tokens = answers.map(({ body }) => JSON.parse(body).token);
        assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200, 200], path);
        assert.ok(tokens[0] && tokens[0] !== tokens[1], path);
        assert.deepEqual(tokens.slice(2), tokens.slice(0, 2), `${path}: each their own`);
        assert.ok(answers.every(({ headers }) => headers['x-cache'] !== 'HIT'), path);
        const stranger = await ask(path, '');
        assert.equal(stranger.status, 401, path);
        assert.notEqual(stranger.headers['x-cache'], 'HIT', path);
      }
    }
  });

  await t.test('nor the cookies of a refresh, nor answers of our own', async () => {
    op.accessTokenSeconds = 5;
    const { browser, cookies: due } = await scene.signIn();
    op.accessTokenSeconds = 300;
    await awaitTokenEnd(browser);
    const path = '/api/echo/refreshed?control=public,max-age=60';
    const refreshed = await ask(path, due);
    assert.ok(refreshed.setCookies.some((line) => line.startsWith('sealgate-shop=')), refreshed.body);
    const other = await ask(path, bob);
    assert.deepEqual([other.status, other.setCookies, other.headers['x-cache']], [200, [], 'MISS']);
    for (const own of ['/bff/session', '/bff/user', '/bff/login']) {
      await ask(own, ada);
      const again = await ask(own, '');
      assert.notEqual(again.headers['x-cache'], 'HIT', own);
      assert.doesNotMatch(again.body, /"active":true|bff:logout_url/, own);
    }
  });
});

/** Provider, API, sealgate, and a cache before it. Logins go past the cache, calls go through it. */
async function setScene(t) {
  const dir = await scratch();
  atEnd(t, () => sweep(dir));
  const [port, adminPort, front] = await freePorts(3);
  const origin = `http://localhost:${port}`;
  const op = await startOp({ origin });
  atEnd(t, () => op.stop());
  const api = await startApi();
  atEnd(t, () => api.stop());
  const open = createServer((req, res) => {
    res.writeHead(200, { 'cache-control': new URL(req.url, 'http://open').searchParams.get('control') });
    res.end(`answer ${Math.random()}`);
  }).listen(0, '127.0.0.1');
  await once(open, 'listening');
  atEnd(t, () => { open.closeAllConnections(); open.close(); });
  const tables = `
[upstream.open]
url = "http://127.0.0.1:${open.address().port}"
[frontend.shop.route.open]
path     = "/open"
upstream = "open"
token    = "none"
[frontend.shop.route.maybe]
path     = "/maybe"
upstream = "echo"
token    = "user_or_none"
`;
  const sealgate = await startSealgate({ dir, origin, port, adminPort, op, api, tables, log: 'info' });
  atEnd(t, () => sealgate.stop());
  const nginx = await startNginx({ dir, port: front, backends: [port], ...CACHE });
  atEnd(t, () => nginx.stop());
  return {
    op,
    ask: (path, cookie) => new Promise((resolve, reject) => {
      const headers = { host: new URL(origin).host, 'x-csrf': '1', ...(cookie ? { cookie } : {}) };
      request({ host: '127.0.0.1', port: front, path, agent: false, headers }, (res) => {
        let body = '';
        res.setEncoding('utf8').on('data', (text) => { body += text; }).on('error', reject);
        const setCookies = res.headers['set-cookie'] ?? [];
        res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, setCookies, body }));
      }).on('error', reject).end();
    }),
    /** A browser in which somebody has just signed in, and its cookies. */
    async signIn() {
      const browser = new Browser();
      atEnd(t, () => browser.close());
      await browser.open(`${origin}/bff/login?returnUrl=/bff/session`);
      await passSignIn(browser, op);
      const cookies = browser.jar.matching(new URL(`${origin}/api/echo`), { site: 'same', lax: false });
      return { browser, cookies: cookies.map(({ name, value }) => `${name}=${value}`).join('; ') };
    },
  };
}
