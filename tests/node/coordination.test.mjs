// Three processes and a store: one refresh for all, sessions that end everywhere at once, and a store that comes and goes at no
// request's cost. What else is told of them is in `store.test.mjs`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { leaks, logLines } from './lib/canary.mjs';
import { rotateKeys } from './lib/keys.mjs';
import { awaitTokenEnd } from './lib/person.mjs';
import { REPLICAS, setReplicas } from './lib/replicas.mjs';
import { tail } from './lib/sealgate.mjs';
import { eventually, HANGS_MS } from './lib/waiting.mjs';

/** What src/coordination/README.md promises of a revocation, from the logout's answer to the last replica's refusal. */
const BOUND_MS = 1000;
/** Propagation is measured so often, and judged by its mean: a machine may be slow once. */
const TRIES = 5;
/** No request may wait longer because of the store; its own patience is a second. */
const LATENCY_BOUND_MS = 3000;

test('one refresh for all replicas under strict rotation', { timeout: HANGS_MS }, async (t) => {
  const scene = await setReplicas(t, { provider: { accessTokenSeconds: 5 } });
  const { op, ask } = scene;
  const [quick, slow, ended] = [await scene.signIn(), await scene.signIn(), await scene.signIn()];
  const { refresh_token: token } = op.newest();
  op.accessTokenSeconds = 300;
  for (const { browser } of [quick, slow, ended]) await awaitTokenEnd(browser);
  // The second is longer than a lease lasts without renewal (G12): 3 s.
  for (const [session, delay] of [[quick, 300], [slow, 3500]]) {
    op.tokenDelay = delay;
    const before = op.tokenCalls('refresh_token').length;
    const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => ask(i % REPLICAS, session.cookie)));
    op.tokenDelay = 0;
    assert.deepEqual(answers.map(({ status }) => status), Array(30).fill(200), tail(scene.replicas[0].output));
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
  const refreshes = async (result) => (await scene.count('sealgate_coordination_refresh_total', { result })).reduce((sum, count) => sum + count, 0);
  assert.deepEqual(await Promise.all(['led', 'alone', 'failed'].map(refreshes)), [2, 0, 0]);
  assert.equal(await refreshes('adopted'), 2 * (REPLICAS - 1));

  await t.test('a refused refresh token is presented once by all replicas together', async () => {
    await op.revoke(token);
    const before = op.tokenCalls('refresh_token').length;
    const answers = [];
    for (let i = 0; i < REPLICAS; i += 1) answers.push(await ask(i, ended.cookie));
    assert.deepEqual(answers.map(({ status }) => status), [401, 401, 401]);
    assert.ok(answers.every(({ body }) => JSON.parse(body).code === 'login-required'), 'V10');
    assert.equal(op.tokenCalls('refresh_token').length - before, 1, 'G8');
  });
});

test('a copied cookie is dead on every replica after a logout', { timeout: HANGS_MS }, async (t) => {
  const scene = await setReplicas(t);
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

test('a back-channel logout ends the session on every replica', { timeout: HANGS_MS }, async (t) => {
  const scene = await setReplicas(t, { provider: { backchannel: true } });
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

test('a store that fails costs no request anything when on_failure is open', { timeout: HANGS_MS }, async (t) => {
  const scene = await setReplicas(t, { provider: { accessTokenSeconds: 5 } });
  const { op, store } = scene;
  const due = { killed: await scene.signIn(), frozen: await scene.signIn() };
  op.accessTokenSeconds = 300;
  const session = await scene.signIn();
  for (const { browser } of Object.values(due)) await awaitTokenEnd(browser);
  for (const [what, fail, mend] of [
    ['killed', () => store.kill(), () => store.start()],
    ['frozen', () => store.freeze(), () => store.thaw()],
  ]) {
    await t.test(`one that is ${what}`, async (t) => {
      const gone = await scene.signIn();
      const marks = scene.replicas.map(({ output }) => output.length);
      const before = op.tokenCalls('refresh_token').length;
      const load = scene.load(session.cookie);
      await load.goesOn();
      await fail();
      await scene.disconnected();
      // A logout meanwhile: done here at once, told to the others when the store is back.
      const logout = await gone.browser.fetch('/bff/logout', { method: 'POST', headers: { 'x-csrf': '1' } });
      assert.equal(logout.status, 200);
      assert.equal((await scene.ask(0, gone.cookie)).status, 401);
      const refreshed = Date.now();
      assert.equal((await due[what].browser.fetch('/api/echo', { headers: { 'x-csrf': '1' } })).status, 200, 'a refresh goes on');
      t.diagnostic(`store ${what}: a request with a refresh took ${Date.now() - refreshed} ms`);
      assert.equal(op.tokenCalls('refresh_token').length - before, 1);
      await load.goesOn();
      await mend();
      await scene.connected();
      await load.goesOn();
      const { statuses, slowest, count, median } = await load.end();
      t.diagnostic(`store ${what}: ${count} requests, median ${median} ms, slowest ${slowest} ms`);
      assert.deepEqual(statuses, [200]);
      assert.ok(slowest < LATENCY_BOUND_MS, `the slowest request took ${slowest} ms`);
      await scene.deadEverywhere(gone.cookie);
      for (const [i, { output }] of scene.replicas.entries()) {
        const lines = output.slice(marks[i]).split('\n').filter((line) => line.includes('the store for coordination'));
        assert.ok(lines.length <= 5, `a line for each change, not for each request:\n${lines.join('\n')}`);
      }
    });
  }
});

test('a revocation under a key that is new makes a replica look at its directory', { timeout: HANGS_MS }, async (t) => {
  // E19, G14; between two looks of its own there are ten minutes
  const scene = await setReplicas(t, { keys: { reload_interval: '10m' } });
  const { replicas } = scene;
  const took = [];
  let looked = 0;
  for (let i = 0; i < TRIES; i += 1) {
    const session = await scene.signIn();
    const stream = await scene.events(2, session.cookie);
    // A directory is looked at once a second at the most.
    await sleep(looked + 1100 - Date.now());
    await rotateKeys(scene.keysDir, '--now');
    // The first replica reads it; the others are not told.
    process.kill(replicas[0].pid, 'SIGHUP');
    const keys = i + 2;
    await eventually('the key is read', async () => (await scene.count('sealgate_keyring_keys'))[0] === keys);
    assert.deepEqual(await scene.count('sealgate_keyring_keys'), [keys, keys - 1, keys - 1], 'the others do not know it yet');
    const logout = await session.browser.fetch('/bff/logout', { method: 'POST', headers: { 'x-csrf': '1' } });
    assert.equal(logout.status, 200);
    const begun = Date.now();
    await stream.ended();
    looked = Date.now();
    took.push(looked - begun);
    // Nobody asked it anything meanwhile that would have named the key.
    assert.deepEqual((await scene.count('sealgate_keyring_keys')).slice(1), [keys, keys]);
    assert.deepEqual((await scene.count('sealgate_keyring_reload_total', { result: 'ok' })).slice(1), [i + 1, i + 1], 'and it is counted');
    await scene.deadEverywhere(session.cookie);
  }
  report(t, 'logout under a new key', took);
});

/** Prints what was measured, and holds its mean to the bound. */
function report(t, what, took) {
  const mean = took.reduce((sum, ms) => sum + ms, 0) / took.length;
  t.diagnostic(`${what}: dead on all ${REPLICAS} replicas after ${took.join(', ')} ms; mean ${mean.toFixed(0)} ms`);
  assert.ok(mean < BOUND_MS, `${what}: ${took} ms`);
}
