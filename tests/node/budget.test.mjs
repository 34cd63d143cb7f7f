// The size of a session: whatever the provider puts into its tokens, no cookie is lost and nobody goes in circles.
//
// Over budget the login ends, with a page, a log line and a metric that name what is big (requirements C1 to C4). Real
// nginx is in front for what its defaults carry, and for what they do not.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startApi } from './lib/api.mjs';
import { Browser } from './lib/browser.mjs';
import { auditCookies, cookieNames } from './lib/cookies.mjs';
import { atEnd } from './lib/ends.mjs';
import { startNginx } from './lib/nginx.mjs';
import { startOp } from './lib/op.mjs';
import { passSignIn, signInUntilExpiry } from './lib/person.mjs';
import { freePorts } from './lib/ports.mjs';
import { assertCleanEnd, refreshes, setScene } from './lib/scene.mjs';
import { metricsOf, scratch, startSealgate, sweep, total } from './lib/sealgate.mjs';
import { makeCertificate } from './lib/tls.mjs';
import { filled, noise, TOKEN_SETS } from './lib/tokens.mjs';
import { eventually, HANGS_MS } from './lib/waiting.mjs';

const CSRF = { 'x-csrf': '1' };
const BUDGET = 8 * 1024;
/** Bytes of the claim `filler`: small steps where sessions end to fit, large ones up to 64 KiB, up and down. */
const SIZES = [
  0, 500, 1000, 1500, 2000, 2250, 2500, 3000, 3500, 4000, 4250, 4500, 4750, 5000, 5250, 5500, 6000, 7000, 8000,
  12_000, 16_000, 24_000, 32_000, 48_000, 65_536, 40_000, 6500, 4900, 3100, 2300, 1200, 0, 5100, 100,
];

test('a sweep of claim sizes', { timeout: HANGS_MS }, async (t) => {
  let size = 0;
  const scene = await setScene(t, {
    tls: true, log: 'info', provider: { accessTokens: 'jwt', extraClaims: () => ({ filler: noise(size) }) },
  });
  const { origin, browser, op, sealgate } = scene;
  const results = [];
  for (size of SIZES) {
    const mark = sealgate.output.length;
    await browser.open(`${origin}/bff/login?returnUrl=%2Fbff%2Fsession`);
    const { hops } = await passSignIn(browser, op) ?? { hops: browser.answers.slice(-3) };
    const callback = browser.answers.findLast(({ url }) => new URL(url).pathname === '/bff/callback');
    assert.ok(hops.length < 6, `${size}: ${hops.length} redirects`);
    const api = await browser.fetch('/api/echo', { headers: CSRF, page: new URL(origin) });
    results.push({ size, fits: callback.status === 303, header: Buffer.byteLength(api.sentCookie) });
    if (callback.status === 303) {
      assert.equal(api.status, 200, `${size}: ${api.body}`);
      assert.ok(Buffer.byteLength(api.sentCookie) <= BUDGET, `${size}: ${api.sentCookie.length} bytes`);
      assert.doesNotMatch(sealgate.output.slice(mark), /session-too-large/);
      continue;
    }
    assert.equal(callback.status, 500, `${size}: ${callback.body}`);
    assert.equal(browser.url.pathname, '/bff/callback', 'a page, and no way on');
    assert.match(callback.headers['content-type'], /^text\/html/);
    // What is big, and what is allowed. The log comes by a pipe, in its own time.
    const said = [/session-too-large/, /access_token/, new RegExp(`${BUDGET}`)];
    for (const what of said) assert.match(callback.body, what);
    const log = () => sealgate.output.slice(mark);
    await eventually('the log says it too', () => said.every((what) => what.test(log())), log);
  }
  assert.deepEqual(browser.jar.refused, [], 'cookies that a browser drops');
  assert.deepEqual(auditCookies(browser.answers, { origin, names: scene.names, tls: true }), []);

  const bySize = results.toSorted((a, b) => a.size - b.size);
  const largest = bySize.findLast(({ fits }) => fits);
  const smallest = bySize.find(({ fits }) => !fits);
  assert.ok(largest.size < smallest.size, 'one limit, whatever came before');
  assert.ok(largest.size >= 3000 && smallest.size <= 12_000, `${largest.size} fits, ${smallest.size} does not`);
  const samples = await metricsOf(sealgate);
  const failed = results.filter(({ fits }) => !fits).length;
  assert.equal(total(samples, 'sealgate_logins_total', { result: 'failed' }), failed);
  assert.equal(total(samples, 'sealgate_requests_total', { route: 'callback', outcome: 'session-too-large' }), failed);
  for (const part of ['total', 'access_token', 'refresh_token', 'claims']) {
    assert.equal(total(samples, 'sealgate_session_bytes_count', { part }), results.length, part);
  }
  const over = (part) => results.length - total(samples, 'sealgate_session_bytes_bucket', { part, le: '8192.0' });
  assert.equal(over('total'), failed, 'the metric tells them');
  assert.ok(over('access_token') > 0 && over('refresh_token') === 0, 'and what is big');
  t.diagnostic(`${results.length} logins, ${failed} over budget; a claim of ${largest.size} random bytes fits (${
    largest.header} bytes of cookies), of ${smallest.size} does not`);
  await assertCleanEnd(scene);
});

test('a refresh that brings too much leaves the old session until its end', { timeout: HANGS_MS }, async (t) => {
  let size = 100;
  const scene = await setScene(t, {
    tls: true,
    log: 'info',
    provider: { accessTokens: 'jwt', accessTokenSeconds: 5, extraClaims: () => ({ filler: noise(size) }) },
  });
  const { origin, browser, op, sealgate } = scene;
  await browser.open(`${origin}/bff/login?returnUrl=%2Fbff%2Fsession`);
  await passSignIn(browser, op);
  const ask = async () => {
    const answer = await browser.fetch('/api/echo', { headers: CSRF, page: new URL(origin) });
    return answer.status === 200 ? 'ok' : `${answer.status} ${JSON.parse(answer.body).code}`;
  };
  assert.equal(await ask(), 'ok');
  const fitted = 1 + refreshes(op).length;
  size = 20_000;
  const seen = new Set(['ok']);
  await eventually('the session has ended', async () => seen.add(await ask()).size > 1);
  assert.deepEqual([...seen], ['ok', '401 session-too-large']);
  await eventually('the log says why', () => /after a refresh, \d+ bytes of cookies are needed, 8192 are allowed; biggest parts: access_token /.test(sealgate.output));
  const samples = await metricsOf(sealgate);
  assert.equal(total(samples, 'sealgate_session_bytes_bucket', { part: 'total', le: '8192.0' }), fitted, 'the login');
  assert.ok(total(samples, 'sealgate_session_bytes_count', { part: 'total' }) > fitted, 'the refresh is counted too');
  assert.deepEqual(browser.jar.refused, []);
  await assertCleanEnd(scene);
});

/** What the directives of src/server/deploy/nginx.conf and of `--check` are. */
const LARGER = 'proxy_buffer_size 16k; proxy_buffers 4 16k; large_client_header_buffers 4 16k;';
for (const set of TOKEN_SETS) {
  test(`nginx with all its defaults carries the ${set.name} tokens`, { timeout: HANGS_MS }, async (t) => {
    const scene = await behindNginx(t, set.dress ? { refreshTokens: set } : {});
    const { op, person } = scene;
    await scene.nginx('');
    // Tokens without the claim that fills them up tell by how much.
    const extra = set.extra();
    op.extraClaims = () => extra;
    await signIn(scene, await person());
    const bare = op.newest();
    const [access, id] = [filled(extra, bare.access_token.length, set.access), filled({}, bare.id_token.length, set.id)];
    op.extraClaims = () => access;
    op.idClaims = () => id;
    const browser = await person();
    const { callback } = await signIn(scene, browser);
    const tokens = op.newest();
    for (const [token, wanted] of [['access_token', set.access], ['id_token', set.id], ['refresh_token', set.refresh]]) {
      assert.ok(Math.abs(tokens[token].length - wanted) < 5, `${token}: ${tokens[token].length}, not ${wanted}`);
    }
    assert.equal(callback.status, 303, callback.body);
    const answer = await call(scene, browser);
    assert.equal(answer.status, 200, answer.body);
    t.diagnostic(`access token ${tokens.access_token.length}, refresh token ${tokens.refresh_token.length}, ID token ${
      tokens.id_token.length}: ${headBytes(callback)} bytes of response head, ${answer.sentCookie.length} bytes of cookies`);
    // And a refresh on the way.
    const short = await person();
    await signInUntilExpiry(short, op, loginOf(scene));
    const refreshed = await call(scene, short);
    assert.equal(refreshed.status, 200, refreshed.body);
    assert.ok(refreshed.setCookies.length > 0);
  });
}

test('nginx carries the largest session within the budget if told to, and not by default', { timeout: HANGS_MS }, async (t) => {
  const scene = await behindNginx(t, {});
  const { op, person } = scene;
  const login = async (size) => {
    op.extraClaims = () => ({ filler: noise(size) });
    const browser = await person();
    return { browser, ...await signIn(scene, browser) };
  };
  await scene.nginx(LARGER);
  // The largest claim that fits: what is over budget fails in sealgate (500), never in nginx.
  let [fits, over] = [1000, 12_000];
  while (over - fits > 20) {
    const size = (fits + over) >> 1;
    const { callback } = await login(size);
    assert.ok([303, 500].includes(callback.status), `${size}: ${callback.status} ${callback.body}`);
    if (callback.status === 303) fits = size;
    else over = size;
  }
  // Noise is never twice of one size once it is compressed.
  fits -= 100;
  const { browser, callback } = await login(fits);
  assert.equal(callback.status, 303);
  let answer = await call(scene, browser);
  assert.equal(answer.status, 200, answer.body);
  const shown = await browser.fetch('/bff/user', { headers: CSRF, page: new URL(scene.origin) });
  assert.equal(shown.status, 200, shown.body);
  await signInUntilExpiry(browser, op, loginOf(scene));
  answer = await call(scene, browser);
  assert.equal(answer.status, 200, answer.body);
  assert.ok(answer.setCookies.length > 1, 'refreshed');
  answer = await call(scene, browser);
  assert.equal(answer.status, 200, answer.body);
  assert.deepEqual(browser.jar.refused, []);
  t.diagnostic(`a claim of ${fits} random bytes, an access token of ${op.newest().access_token.length}: ${
    headBytes(callback)} bytes of response head, ${answer.sentCookie.length} bytes of cookies`);

  // What src/server/README.md warns of, so that it is known when it is no longer true.
  await scene.nginx('');
  const refused = await login(fits);
  assert.equal(refused.callback.status, 502);
  assert.match(await scene.nginxLog(), /upstream sent too big header while reading response header from upstream/);
});

/** sealgate without TLS of its own behind nginx with TLS; `nginx(directives)` starts nginx, or starts it anew. */
async function behindNginx(t, provider) {
  const dir = await scratch();
  atEnd(t, () => sweep(dir));
  const [front, port, adminPort] = await freePorts(3);
  const origin = `https://localhost:${front}`;
  const tls = makeCertificate(dir);
  const op = await startOp({ origin, accessTokens: 'jwt', ...provider });
  atEnd(t, () => op.stop());
  const api = await startApi({ accepts: op.accessTokenLives });
  atEnd(t, () => api.stop());
  const sealgate = await startSealgate({ dir, origin, port, adminPort, op, api, log: 'info' });
  atEnd(t, () => sealgate.stop());
  let running;
  atEnd(t, () => running?.stop());
  return {
    origin,
    op,
    names: cookieNames('shop', { tls: true }),
    async nginx(server) {
      await running?.stop();
      running = await startNginx({ dir, port: front, tls, backends: [port], server });
    },
    nginxLog: () => running.log(),
    async person() {
      const browser = new Browser({ ca: tls.pem });
      atEnd(t, () => browser.close());
      return browser;
    },
  };
}

const loginOf = ({ origin }) => `${origin}/bff/login?returnUrl=%2Fbff%2Fsession`;

async function signIn(scene, browser) {
  await browser.open(loginOf(scene));
  await passSignIn(browser, scene.op);
  return { callback: browser.answers.findLast(({ url }) => new URL(url).pathname === '/bff/callback') };
}

const call = ({ origin }, browser) => browser.fetch('/api/echo', { headers: CSRF, page: new URL(origin) });

/** Bytes of an answer's head, about as nginx received it. */
const headBytes = ({ rawHeaders, reason }) => rawHeaders.reduce((sum, text) => sum + Buffer.byteLength(text) + 2, reason.length + 15);
