// Three processes and a store: one refresh for all, sessions that end everywhere, and a store that comes and goes.
//
// Requests go to the replicas in turns, without any affinity. The first replica has the address that browser and provider
// know; the others are asked with the same Host.
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { startApi } from './lib/api.mjs';
import { Browser } from './lib/browser.mjs';
import { leaks, logLines } from './lib/canary.mjs';
import { rotateKeys } from './lib/keys.mjs';
import { jwtPart, startOp } from './lib/op.mjs';
import { passSignIn } from './lib/person.mjs';
import { freePorts } from './lib/ports.mjs';
import { startRedis } from './lib/redis.mjs';
import { slowLine } from './lib/slow.mjs';
import { metricsOf, scratch, startSealgate, sweep, tail, total } from './lib/sealgate.mjs';
import { eventually } from './lib/waiting.mjs';

const REPLICAS = 3;
/** What src/coordination/README.md promises of a revocation, from the logout's answer to the last replica's refusal. */
const BOUND_MS = 1000;
/** Propagation is measured so often, and judged by its mean: a machine may be slow once. */
const TRIES = 5;
/** No request may wait longer because of the store; its own patience is a second. */
const LATENCY_BOUND_MS = 3000;

test('one refresh for all replicas under strict rotation', { timeout: 120_000 }, async (t) => {
  const scene = await setScene(t, { provider: { accessTokenSeconds: 4 } });
  const { op, replicas, ask } = scene;
  for (const delay of [300, 4500]) {
    // The second is longer than a lease lasts without renewal (G12).
    op.accessTokenSeconds = 4;
    const session = await scene.signIn();
    await sleep(4300);
    op.accessTokenSeconds = 300;
    op.tokenDelay = delay;
    const before = op.tokenCalls('refresh_token').length;
    const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => ask(i % REPLICAS, session.cookie)));
    op.tokenDelay = 0;
    assert.deepEqual(answers.map(({ status }) => status), Array(30).fill(200), tail(replicas[0].output));
    assert.equal(op.tokenCalls('refresh_token').length - before, 1, `${delay} ms: one refresh for three replicas`);
    for (const cookie of ['sealgate-shop=', 'sealgate-shop-hint=']) {
      // The hint too, where another replica made the call: some providers take the newest ID token and no other.
      assert.ok(answers.every(({ setCookies }) => setCookies.some((line) => line.startsWith(cookie))), cookie);
    }
    // Whoever comes late with the old cookie, at whichever replica, gets the new tokens.
    for (let i = 0; i < REPLICAS; i += 1) assert.equal((await ask(i, session.cookie)).status, 200);
    assert.equal(op.tokenCalls('refresh_token').length - before, 1);
    assert.ok(await op.refreshTokenLives(op.newest().refresh_token), 'the family lives');
  }
  const results = await Promise.all(replicas.map(metricsOf));
  const count = (result) => results.reduce((sum, samples) => sum + total(samples, 'sealgate_coordination_refresh_total', { result }), 0);
  assert.deepEqual([count('led'), count('alone'), count('failed')], [2, 0, 0]);
  assert.equal(count('adopted'), 2 * (REPLICAS - 1));
});

test('a refused refresh token is presented once by all replicas together', { timeout: 60_000 }, async (t) => {
  const scene = await setScene(t, { provider: { accessTokenSeconds: 5 } });
  const session = await scene.signIn();
  await sleep(5300);
  const { refresh_token: token } = scene.op.newest();
  await scene.op.revoke(token);
  const answers = [];
  for (let i = 0; i < REPLICAS; i += 1) answers.push(await scene.ask(i, session.cookie));
  assert.deepEqual(answers.map(({ status }) => status), [401, 401, 401]);
  assert.ok(answers.every(({ body }) => JSON.parse(body).code === 'login-required'), 'V10');
  assert.equal(scene.op.tokenCalls('refresh_token').length, 1, 'G8');
});

test('a copied cookie is dead on every replica after a logout', { timeout: 120_000 }, async (t) => {
  const scene = await setScene(t);
  const { replicas, ask, store } = scene;
  const took = [];
  let last;
  for (let i = 0; i < TRIES; i += 1) {
    const session = await scene.signIn();
    assert.equal((await ask(1, session.cookie)).status, 200);
    const logout = await session.browser.fetch('/bff/logout', { method: 'POST', headers: { 'x-csrf': '1' } });
    assert.equal(logout.status, 200);
    took.push(await scene.deadEverywhere(session.cookie));
    last = session;
  }
  report(t, 'logout', took);

  await t.test('and on one that is started again', async () => {
    await scene.restart(2);
    // It knows as soon as it has read the feed, which begins with its start.
    const took = await scene.deadEverywhere(last.cookie);
    t.diagnostic(`a replica that is started again refuses it after ${took} ms`);
    const alive = await scene.signIn();
    assert.deepEqual(await Promise.all([0, 1, 2].map(async (i) => (await ask(i, alive.cookie)).status)), [200, 200, 200]);
  });

  await t.test('the store holds nothing that could be read', async () => {
    const { names, text } = await store.everything();
    assert.ok(names.length >= 1, 'there is something to search in');
    assert.ok(names.every((name) => name.startsWith('stories:')), names.join(' '));
    assert.deepEqual(leaks([{ where: 'the store', text }], [...scene.op.secrets, ...scene.op.codes]), []);
    assert.doesNotMatch(text, /ada|127\.0\.0\.1/, 'neither who was signed in nor where');
    for (const name of names) assert.notEqual(await store.ask(`TTL ${name}`), ':-1', `${name} passes by itself`);
    const logs = replicas.flatMap(({ output }) => logLines(output));
    assert.deepEqual(leaks(logs, [...scene.op.secrets, ...scene.op.codes]), []);
  });
});

test('a back-channel logout ends the session on every replica', { timeout: 120_000 }, async (t) => {
  const scene = await setScene(t, { provider: { backchannel: true } });
  const { op, ask } = scene;
  const took = [];
  for (let i = 0; i < TRIES; i += 1) {
    const session = await scene.signIn();
    const other = await scene.signIn();
    assert.equal((await ask(2, session.cookie)).status, 200);
    // The person signs out at the provider itself, where sealgate takes no part.
    await session.browser.open(`${op.issuer}/session/end`);
    await session.browser.submit({ logout: 'yes' });
    took.push(await scene.deadEverywhere(session.cookie));
    assert.equal((await ask(1, other.cookie)).status, 200, 'another session of the same user goes on');
  }
  report(t, 'back-channel logout', took);
  assert.equal(op.logoutTokens.length, TRIES);

  await t.test('what is no logout token is refused, at any replica', async () => {
    const session = await scene.signIn();
    const [token] = op.logoutTokens;
    const form = (value) => `logout_token=${encodeURIComponent(value)}`;
    const [head, payload, signature] = token.split('.');
    const forged = JSON.parse(Buffer.from(payload, 'base64url'));
    forged.jti = 'another';
    const bent = Buffer.from(JSON.stringify(forged)).toString('base64url');
    const none = Buffer.from('{"alg":"none"}').toString('base64url');
    for (const [what, body, type] of [
      ['the same token again', form(token)],
      ['an ID token', form(op.newest().id_token)],
      ['another payload', form(`${head}.${bent}.${signature}`)],
      ['no signature', form(`${none}.${bent}.`)],
      ['no token', 'x=1'],
      ['two tokens', `${form(token)}&${form(token)}`],
      ['JSON', JSON.stringify({ logout_token: token }), 'application/json'],
      ['a megabyte', form('x'.repeat(1024 * 1024))],
    ]) {
      for (const replica of [0, 2]) {
        const answer = await scene.post(replica, '/bff/backchannel', body, type);
        assert.equal(answer.status, 400, what);
        assert.match(answer.headers['cache-control'], /no-store/, what);
        assert.ok(JSON.parse(answer.body).error, what);
      }
    }
    assert.equal((await ask(0, session.cookie)).status, 200);
  });

  await t.test('without the store it is no success', async () => {
    const session = await scene.signIn();
    await scene.store.kill();
    await session.browser.open(`${op.issuer}/session/end`);
    await session.browser.submit({ logout: 'yes' });
    const answer = await scene.post(1, '/bff/backchannel', `logout_token=${op.logoutTokens.at(-1)}`);
    assert.equal(answer.status, 400);
    await scene.store.start();
    await scene.connected();
    const retried = await scene.post(1, '/bff/backchannel', `logout_token=${op.logoutTokens.at(-1)}`);
    assert.equal(retried.status, 200, 'the provider may try again with the same token');
    await scene.deadEverywhere(session.cookie);
  });
});

test('a back-channel logout ends sessions of the user that have no sid, and none that has another', { timeout: 60_000 }, async (t) => {
  // B66: any session that cannot be told apart may be the one that is meant
  const scene = await setScene(t, { provider: { backchannel: true } });
  const { op, ask } = scene;
  const sid = () => jwtPart(op.newest().id_token, 1).sid;
  await op.nameSessions(false);
  const unnamed = await scene.signIn();
  const stranger = await scene.signIn({ login: 'grace' });
  assert.equal(sid(), undefined);
  await op.nameSessions(true);
  const other = await scene.signIn();
  const session = await scene.signIn();
  assert.ok(sid());
  await session.browser.open(`${op.issuer}/session/end`);
  await session.browser.submit({ logout: 'yes' });
  const { sub, sid: named } = jwtPart(op.logoutTokens.at(-1), 1);
  assert.deepEqual([sub, named], ['ada', sid()]);
  for (const { cookie } of [session, unnamed]) await scene.deadEverywhere(cookie);
  for (const { cookie } of [other, stranger]) {
    for (let i = 0; i < REPLICAS; i += 1) assert.equal((await ask(i, cookie)).status, 200);
  }
  // Who signs in again is not held to it.
  await op.nameSessions(false);
  await sleep(1100);
  const again = await scene.signIn();
  for (let i = 0; i < REPLICAS; i += 1) assert.equal((await ask(i, again.cookie)).status, 200);
});

test('what others put into the stream of revocations keeps no replica from reading on', { timeout: 60_000 }, async (t) => {
  const scene = await setScene(t);
  const { store } = scene;
  for (const entry of ['x 1', 'v junk', 'v ""', 'x 1 v junk y 2', '"\\xff\\xfe" 1', '"" "\\xff"']) {
    assert.match(await store.ask(`XADD stories:revocations * ${entry}`), /^\$/, entry);
  }
  const session = await scene.signIn();
  const logout = await session.browser.fetch('/bff/logout', { method: 'POST', headers: { 'x-csrf': '1' } });
  assert.equal(logout.status, 200);
  await scene.deadEverywhere(session.cookie);
  await scene.restart(2);
  await scene.deadEverywhere(session.cookie);
  // Not a stream at all, for a while: what was there is lost, and what comes is not.
  const next = await scene.signIn();
  assert.equal(await store.ask('SET stories:revocations junk'), '+OK');
  await sleep(1500);
  assert.equal(await store.ask('DEL stories:revocations'), ':1');
  assert.equal((await next.browser.fetch('/bff/logout', { method: 'POST', headers: { 'x-csrf': '1' } })).status, 200);
  await scene.deadEverywhere(next.cookie);
});

test('entries of a mebibyte take no memory, and a slow line no knowledge of a logout', { timeout: 120_000 }, async (t) => {
  // I of the review: 400 of them took 454 MiB; with 14 behind a slow line a replica never learned of a logout
  const scene = await setScene(t);
  const { store } = scene;
  const memory = async ({ pid }) => Number((await readFile(`/proc/${pid}/status`, 'utf8')).match(/VmHWM:\s+(\d+) kB/)[1]) / 1024;
  const before = await memory(await scene.restart(1));
  const line = await slowLine(store.port, 4 << 20);
  t.after(() => line.stop());
  await store.fill('stories:revocations', 14, 1 << 20);
  const session = await scene.signIn();
  await writeFile(join(scene.dir, 'store-url'), `redis://127.0.0.1:${line.port}/`);
  const slow = await scene.restart(2);
  const logout = await session.browser.fetch('/bff/logout', { method: 'POST', headers: { 'x-csrf': '1' } });
  assert.equal(logout.status, 200);
  await scene.deadEverywhere(session.cookie);
  assert.ok(line.carried > 14 << 20, 'it has come past them');
  assert.doesNotMatch(slow.output, /do not arrive/);
  // The other replicas follow the stream while the rest comes.
  await store.fill('stories:revocations', 386, 1 << 20);
  const next = await scene.signIn();
  assert.equal((await next.browser.fetch('/bff/logout', { method: 'POST', headers: { 'x-csrf': '1' } })).status, 200);
  await eventually('refused', async () => (await scene.ask(1, next.cookie)).status === 401);
  const grown = await memory(scene.replicas[1]) - before;
  t.diagnostic(`400 MiB of junk took ${grown.toFixed(1)} MiB`);
  assert.ok(grown < 24, `${grown} MiB`);
});

for (const [what, fail, mend] of [
  ['killed', (store) => store.kill(), (store) => store.start()],
  ['frozen', (store) => store.freeze(), (store) => store.thaw()],
]) {
  test(`a store that is ${what} costs no request anything when on_failure is open`, { timeout: 60_000 }, async (t) => {
    const scene = await setScene(t);
    const session = await scene.signIn();
    const gone = await scene.signIn();
    scene.op.accessTokenSeconds = 5;
    const due = await scene.signIn();
    scene.op.accessTokenSeconds = 300;
    const load = scene.load(session.cookie);
    await sleep(4000);
    await fail(scene.store);
    await sleep(1500);
    // A logout meanwhile: done here at once, told to the others when the store is back.
    const logout = await gone.browser.fetch('/bff/logout', { method: 'POST', headers: { 'x-csrf': '1' } });
    assert.equal(logout.status, 200);
    assert.equal((await scene.ask(0, gone.cookie)).status, 401);
    const refreshed = Date.now();
    assert.equal((await due.browser.fetch('/api/echo', { headers: { 'x-csrf': '1' } })).status, 200, 'a refresh goes on');
    t.diagnostic(`store ${what}: a request with a refresh took ${Date.now() - refreshed} ms`);
    assert.equal(scene.op.tokenCalls('refresh_token').length, 1);
    await sleep(1500);
    await mend(scene.store);
    await scene.connected();
    await sleep(500);
    const { statuses, slowest, count, median } = await load.end();
    t.diagnostic(`store ${what}: ${count} requests, median ${median} ms, slowest ${slowest} ms`);
    assert.deepEqual(statuses, [200]);
    assert.ok(slowest < LATENCY_BOUND_MS, `the slowest request took ${slowest} ms`);
    await scene.deadEverywhere(gone.cookie);
    for (const { output } of scene.replicas) {
      const lines = output.split('\n').filter((line) => line.includes('the store for coordination'));
      assert.ok(lines.length <= 5, `a line for each change, not for each request:\n${lines.join('\n')}`);
    }
  });
}

test('event streams end on every replica with their session, and with the store where on_failure is closed', { timeout: 60_000 }, async (t) => {
  // D37, G14
  const scene = await setScene(t, { onFailure: 'closed' });
  const session = await scene.signIn();
  const other = await scene.signIn();
  await eventually('every replica has read the feed', async () => {
    const answers = await Promise.all([0, 1, 2].map((i) => scene.ask(i, other.cookie)));
    return answers.every(({ status }) => status === 200);
  });
  const streams = await Promise.all([1, 2].map((i) => scene.events(i, session.cookie)));
  const others = await Promise.all([0, 1, 2].map((i) => scene.events(i, other.cookie)));
  const begun = Date.now();
  const logout = await session.browser.fetch('/bff/logout', { method: 'POST', headers: { 'x-csrf': '1' } });
  assert.equal(logout.status, 200);
  const took = await Promise.all(streams.map(async (stream) => {
    await stream.ended();
    return Date.now() - begun;
  }));
  t.diagnostic(`streams at two other replicas ended ${took.join(' and ')} ms after the logout began`);
  assert.ok(others.every(({ isOver }) => !isOver()), 'nobody else\'s');
  await eventually('the API\'s streams have ended as well', () => scene.api.openStreams() === 3);
  await scene.store.kill();
  const gone = Date.now();
  await Promise.all(others.map((stream) => stream.ended()));
  t.diagnostic(`all streams ended ${Date.now() - gone} ms after the store was killed`);
  await eventually('the API has no stream left', () => scene.api.openStreams() === 0);
  await scene.store.start();
  await scene.connected();
  // An EventSource asks again.
  await eventually('sessions are served again', async () => (await scene.ask(1, other.cookie)).status === 200);
  const again = await scene.events(1, other.cookie);
  assert.equal((await scene.ask(1, session.cookie)).status, 401, 'the logout is known after the store\'s return');
  await sleep(2500);
  assert.ok(!again.isOver());
});

test('event streams survive a store that is killed when on_failure is open', { timeout: 60_000 }, async (t) => {
  const scene = await setScene(t);
  const session = await scene.signIn();
  const stream = await scene.events(1, session.cookie);
  await scene.store.kill();
  await sleep(8000);
  assert.ok(!stream.isOver(), 'longer than a feed may be silent');
  // What ends it then is its own replica's logout.
  assert.equal((await scene.logOutAt(1, session.cookie)).status, 200);
  await stream.ended();
});

test('a revocation under a key that is new makes a replica look at its directory', { timeout: 60_000 }, async (t) => {
  // E19, G14; between two looks of its own there are ten minutes
  const scene = await setScene(t, { keys: { reload_interval: '10m' } });
  const { replicas } = scene;
  const took = [];
  for (let i = 0; i < TRIES; i += 1) {
    const session = await scene.signIn();
    const stream = await scene.events(2, session.cookie);
    await rotateKeys(scene.keysDir, '--now');
    // The first replica reads it; the others are not told.
    process.kill(replicas[0].pid, 'SIGHUP');
    const keys = i + 2;
    await eventually('the key is read', async () => total(await metricsOf(replicas[0]), 'sealgate_keyring_keys') === keys);
    const before = await Promise.all([1, 2].map(async (n) => total(await metricsOf(replicas[n]), 'sealgate_keyring_keys')));
    assert.deepEqual(before, [keys - 1, keys - 1], 'the others do not know it yet');
    const logout = await session.browser.fetch('/bff/logout', { method: 'POST', headers: { 'x-csrf': '1' } });
    assert.equal(logout.status, 200);
    const begun = Date.now();
    await stream.ended();
    took.push(Date.now() - begun);
    // Nobody asked it anything meanwhile that would have named the key.
    const after = await Promise.all([1, 2].map(async (n) => total(await metricsOf(replicas[n]), 'sealgate_keyring_keys')));
    assert.deepEqual(after, [keys, keys]);
    const reloads = await Promise.all([1, 2].map(async (n) => total(await metricsOf(replicas[n]), 'sealgate_keyring_reload_total', { result: 'ok' })));
    assert.deepEqual(reloads, [i + 1, i + 1], 'and it is counted');
    await scene.deadEverywhere(session.cookie);
    // A directory is looked at once a second at the most.
    await sleep(1100);
  }
  report(t, 'logout under a new key', took);
});

test('with on_failure closed no session is served in the dark', { timeout: 60_000 }, async (t) => {
  const scene = await setScene(t, { onFailure: 'closed' });
  const session = await scene.signIn();
  const until = async (status) => {
    for (const begun = Date.now(); Date.now() - begun < 20_000; await sleep(50)) {
      const answers = await Promise.all([0, 1, 2].map((i) => scene.ask(i, session.cookie)));
      if (answers.every((answer) => answer.status === status)) return answers;
      assert.ok(answers.every((answer) => [200, 503].includes(answer.status)), answers.map((a) => a.status).join());
    }
    throw new Error(`not ${status} in 20 s`);
  };
  await until(200);
  await scene.store.kill();
  const [dark] = await until(503);
  assert.equal(JSON.parse(dark.body).code, 'identity-provider-unavailable');
  assert.ok(dark.headers['retry-after']);
  assert.deepEqual(dark.setCookies, [], 'cookies are kept');
  const logout = await session.browser.fetch('/bff/session', { headers: { 'x-csrf': '1' } });
  assert.equal(logout.status, 503);
  await scene.store.start();
  await until(200);
  assert.ok(scene.replicas.every(({ exit }) => exit === undefined));
});

/** Provider, API, store and three replicas with one key directory; everything ends with the test. */
async function setScene(t, { provider = {}, onFailure = 'open', keys = {} } = {}) {
  const ends = [];
  t.after(async () => {
    const failures = [];
    for (const end of ends.reverse()) await Promise.resolve().then(end).catch((error) => failures.push(error));
    if (failures.length) throw new AggregateError(failures, 'the scene did not end cleanly');
  });
  const dir = await scratch();
  ends.push(() => sweep(dir));
  const ports = await freePorts(2 * REPLICAS);
  const origin = `http://localhost:${ports[0]}`;
  const store = await startRedis({ dir });
  ends.push(() => store.stop());
  await writeFile(join(dir, 'store-url'), store.url, { mode: 0o600 });
  const op = await startOp({ origin, ...provider });
  ends.push(() => op.stop());
  const api = await startApi();
  ends.push(() => api.stop());
  const keysDir = join(dir, 'keys');
  await rotateKeys(keysDir);
  const tables = `
[coordination]
url        = { file = ${JSON.stringify(join(dir, 'store-url'))} }
on_failure = ${JSON.stringify(onFailure)}
prefix     = "stories"
`;
  const replicas = [];
  const start = async (i) => {
    const [port, adminPort] = [ports[2 * i], ports[2 * i + 1]];
    replicas[i] = await startSealgate({ dir, name: `replica-${i}`, origin, port, adminPort, op, api, keysDir, keys, tables, log: 'debug' });
    return replicas[i];
  };
  for (let i = 0; i < REPLICAS; i += 1) await start(i);
  ends.push(() => Promise.all(replicas.map((replica) => replica.stop())));

  const send = (i, path, { method = 'GET', headers = {}, body } = {}) => new Promise((resolve, reject) => {
    const request = httpRequest({
      host: '127.0.0.1', port: ports[2 * i], path, method, agent: false, headers: { host: new URL(origin).host, ...headers },
    }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (part) => { text += part; }).on('error', reject);
      res.on('end', () => resolve({
        status: res.statusCode, headers: res.headers, setCookies: res.headers['set-cookie'] ?? [], body: text,
      }));
    });
    // A server that refuses a long body may close before all of it is sent; its answer counts.
    request.on('error', reject).end(body);
  });

  const scene = {
    dir,
    op,
    api,
    store,
    keysDir,
    replicas,
    ask: (i, cookie) => send(i, '/api/echo', { headers: { cookie, 'x-csrf': '1' } }),
    logOutAt: (i, cookie) => send(i, '/bff/logout', { method: 'POST', headers: { cookie, 'x-csrf': '1', 'content-length': 0 } }),
    /** An event stream at a replica, after its first event. */
    events: (i, cookie) => new Promise((resolve, reject) => {
      let over;
      const request = httpRequest({
        host: '127.0.0.1', port: ports[2 * i], path: '/api/echo/events', agent: false,
        headers: { host: new URL(origin).host, cookie, 'x-csrf': '1' },
      }, (res) => {
        if (res.statusCode !== 200) reject(new Error(`no stream, but ${res.statusCode}`));
        // Ended in order: a connection that is cut is an error.
        const end = new Promise((done, failed) => {
          res.on('end', () => { over = true; done(); }).on('error', failed);
        });
        end.catch(() => {});
        res.once('data', () => resolve({ isOver: () => Boolean(over), ended: () => end }));
        res.resume();
      });
      ends.push(() => request.destroy());
      request.on('error', reject).end();
    }),
    post: (i, path, body, type = 'application/x-www-form-urlencoded') => send(i, path, {
      method: 'POST', body, headers: { 'content-type': type, 'content-length': Buffer.byteLength(body) },
    }),
    /** A browser of its own in which somebody is signed in, and its cookies as a thief would copy them. */
    async signIn(who) {
      const browser = new Browser();
      ends.push(() => browser.close());
      await browser.open(`${origin}/bff/login?returnUrl=/bff/session`);
      await passSignIn(browser, op, who);
      const cookie = browser.jar.matching(new URL(`${origin}/api/echo`), { site: 'same', lax: false })
        .map(({ name, value }) => `${name}=${value}`).join('; ');
      assert.match(cookie, /sealgate-shop=/, browser.page);
      return { browser, cookie };
    },
    /** Milliseconds until each replica refuses a cookie. */
    async deadEverywhere(cookie) {
      const begun = Date.now();
      const took = await Promise.all(replicas.map(async (_, i) => {
        while (Date.now() - begun < 15_000) {
          if ((await scene.ask(i, cookie)).status === 401) return Date.now() - begun;
          await sleep(5);
        }
        throw new Error(`replica ${i} goes on serving a dead session\n${tail(replicas[i].output)}`);
      }));
      return Math.max(...took);
    },
    async restart(i) {
      await replicas[i].stop();
      return start(i);
    },
    /** Waits until every replica has the store again. */
    async connected() {
      for (const begun = Date.now(); Date.now() - begun < 15_000; await sleep(50)) {
        const samples = await Promise.all(replicas.map(metricsOf));
        if (samples.every((of) => total(of, 'sealgate_coordination_up') === 1)) return;
      }
      throw new Error('the replicas do not find the store again');
    },
    /** Requests in turns at all replicas, until `end`. */
    load(cookie) {
      const times = [];
      const statuses = new Set();
      let over = false;
      const workers = Array.from({ length: 2 * REPLICAS }, async (_, i) => {
        while (!over) {
          const begun = Date.now();
          statuses.add((await scene.ask(i % REPLICAS, cookie)).status);
          times.push(Date.now() - begun);
          await sleep(10);
        }
      });
      return {
        async end() {
          over = true;
          await Promise.all(workers);
          times.sort((a, b) => a - b);
          return { statuses: [...statuses], count: times.length, median: times[times.length >> 1], slowest: times.at(-1) };
        },
      };
    },
  };
  await scene.connected();
  return scene;
}

/** Prints what was measured, and holds its mean to the bound. */
function report(t, what, took) {
  const mean = took.reduce((sum, ms) => sum + ms, 0) / took.length;
  t.diagnostic(`${what}: dead on all ${REPLICAS} replicas after ${took.join(', ')} ms; mean ${mean.toFixed(0)} ms`);
  assert.ok(mean < BOUND_MS, `${what}: ${took} ms`);
}
