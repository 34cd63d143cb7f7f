// Three processes and a store that others write into, that is slow, or that goes: what sessions and streams make of it.
//
// Nothing here is measured in time; that is in `coordination.test.mjs`.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { jwtPart } from './lib/op.mjs';
import { REPLICAS, setReplicas } from './lib/replicas.mjs';
import { slowLine } from './lib/slow.mjs';
import { eventually, HANGS_MS } from './lib/waiting.mjs';

test('a back-channel logout ends sessions of the user that have no sid, and none that has another', { timeout: HANGS_MS }, async (t) => {
  // B66: any session that cannot be told apart may be the one that is meant
  const scene = await setReplicas(t, { provider: { backchannel: true } });
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
  const second = () => Math.floor(Date.now() / 1000);
  const ended = second();
  await eventually('sessions begin in another second', () => second() > ended);
  const again = await scene.signIn();
  for (let i = 0; i < REPLICAS; i += 1) assert.equal((await ask(i, again.cookie)).status, 200);
});

test('what others put into the stream of revocations keeps no replica from reading on', { timeout: HANGS_MS }, async (t) => {
  const scene = await setReplicas(t);
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
  const marks = scene.replicas.map(({ output }) => output.length);
  assert.equal(await store.ask('SET stories:revocations junk'), '+OK');
  await eventually('each replica meets it', () => scene.replicas.every(({ output }, i) => output.includes('do not arrive', marks[i])));
  assert.equal(await store.ask('DEL stories:revocations'), ':1');
  assert.equal((await next.browser.fetch('/bff/logout', { method: 'POST', headers: { 'x-csrf': '1' } })).status, 200);
  await scene.deadEverywhere(next.cookie);
});

test('entries of a mebibyte take no memory, and a slow line no knowledge of a logout', { timeout: HANGS_MS }, async (t) => {
  // I of the review: 400 of them took 454 MiB; with 14 behind a slow line a replica never learned of a logout
  const scene = await setReplicas(t, { isKept: false });
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

test('event streams end on every replica with their session, and with the store where on_failure is closed', { timeout: HANGS_MS }, async (t) => {
  // D37, G14
  const scene = await setReplicas(t, { onFailure: 'closed' });
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
  const last = await scene.signIn();
  assert.equal((await scene.logOutAt(0, last.cookie)).status, 200);
  await scene.deadEverywhere(last.cookie);
  assert.ok(!again.isOver(), 'the replica follows the feed, and the stream goes on');
});

test('event streams survive a store that is killed when on_failure is open', { timeout: HANGS_MS }, async (t) => {
  const scene = await setReplicas(t);
  const session = await scene.signIn();
  const stream = await scene.events(1, session.cookie);
  await scene.store.kill();
  await eventually('the feed is silent for longer than it may be where on_failure is closed', async () => (
    (await scene.count('sealgate_coordination_feed_age_seconds'))[1] > 4));
  assert.ok(!stream.isOver());
  // What ends it then is its own replica's logout.
  assert.equal((await scene.logOutAt(1, session.cookie)).status, 200);
  await stream.ended();
});

test('with on_failure closed no session is served in the dark', { timeout: HANGS_MS }, async (t) => {
  const scene = await setReplicas(t, { onFailure: 'closed' });
  const session = await scene.signIn();
  const until = (status) => eventually(`each replica answers ${status}`, async () => {
    const answers = await Promise.all([0, 1, 2].map((i) => scene.ask(i, session.cookie)));
    assert.ok(answers.every((answer) => [200, 503].includes(answer.status)), answers.map((a) => a.status).join());
    return answers.every((answer) => answer.status === status) && answers;
  });
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
