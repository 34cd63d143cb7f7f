// Three replicas that share nothing but the key ring: what becomes of sessions at the moment of expiry, under each way in
// which providers treat spent refresh tokens, and while processes die, restart, change keys and lose their provider.
//
// Frontends follow the rule of src/proxy/README.md: 401 `session-refresh-conflict` is repeated once, 401 `login-required` is a lost
// session, after which the person signs in again. (Requirements G1 to G9, G13, G19.)
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { assertNothingMixedUp, between, isConflict, isCutOff, isLost, lost, run, signedIn } from './lib/crowd.mjs';
import { setFleet } from './lib/fleet.mjs';
import { rotateKeys, sealedBy } from './lib/keys.mjs';
import { jwtPart } from './lib/op.mjs';
import { inWords } from './lib/page.mjs';
import { POLICIES } from './lib/rotation.mjs';
import { metricsOf, request, tail, total } from './lib/sealgate.mjs';
import { table } from './lib/table.mjs';
import { each, eventually, HANGS_MS, Turns } from './lib/waiting.mjs';

/** How long expiries are met at least; nobody ends before the second one. */
const SECONDS = Number(process.env.REPLICA_SECONDS ?? 0);
const SESSIONS = Number(process.env.REPLICA_SESSIONS ?? 5);
const OUTAGE_SECONDS = Number(process.env.REPLICA_OUTAGE_SECONDS ?? 7);
/** What a page asks for at once, and how many pages may do so at a time: a loaded machine is not to answer later than it must. */
const BURST = 8;
const BURSTS_AT_ONCE = 6;
const COOKIE = '__Host-Http-shop';

const path = (i) => (i % 4 === 3 ? ['/bff/user'] : [`/api/echo/${i}`, i % 4 === 1 ? { method: 'POST', body: 'x' } : {}]);

/** By the first part of a login name. */
const UNDER_TEST = new Map(Object.entries({
  reuse: POLICIES.reuse,
  leeway: POLICIES.leeway(30),
  strict: POLICIES.strict,
  patient: { ...POLICIES.strict, name: 'strict, repeated after 0.5 s', repeatAfter: 500 },
  count2: POLICIES.count(2),
  count1: POLICIES.count(1),
  count0: POLICIES.count(0),
  family: POLICIES.family,
}));
const policyOf = (login) => login.split('-')[0];

test('sessions at the moment of expiry, without coordination', { timeout: HANGS_MS + SECONDS * 1000 }, async (t) => {
  const { pages, op, replicas } = await expiries(t, { coordination: false });
  const of = (policy) => pages.filter(({ login }) => policyOf(login) === policy);
  const records = (policy) => of(policy).flatMap((page) => page.records);

  for (const policy of ['reuse', 'leeway']) {
    await t.test(`${UNDER_TEST.get(policy).name}: no session is lost, and no frontend sees a 401`, () => {
      assert.deepEqual(records(policy).filter(({ status }) => status !== 200).map(inWords), []);
      assert.ok(of(policy).every(({ signIns, ends }) => signIns === 1 && ends.size > 1));
    });
  }

  await t.test('each replica presents a refresh token once (G4, G5, G8)', () => {
    const presented = new Map();
    for (const { params } of op.tokenCalls('refresh_token')) {
      presented.set(params.refresh_token, (presented.get(params.refresh_token) ?? 0) + 1);
    }
    const ours = op.tokenCalls().filter(({ answer }) => answer?.id_token && policyOf(jwtPart(answer.id_token, 1).sub) === 'leeway');
    const counts = ours.map(({ answer }) => presented.get(answer.refresh_token) ?? 0);
    assert.ok(Math.max(...counts) <= replicas.length, `a refresh token was presented ${Math.max(...counts)} times`);
  });

  // What remains can be lost, since two replicas may spend one token: the first is served, the others are refused, and
  // after that the provider's rule decides. What holds all the same:
  await t.test('whatever the provider does, a frontend is told to repeat before a session ends (G7)', () => {
    for (const page of pages) {
      const end = page.records.find(isLost);
      if (end) assert.ok(page.records.some((record) => isConflict(record) && record.ended <= end.ended), inWords(end));
    }
  });
});

test('sessions at the moment of expiry, with coordination', { timeout: HANGS_MS + SECONDS * 1000 }, async (t) => {
  const { pages, op, alone } = await expiries(t, { coordination: true });
  t.diagnostic(`${alone} refreshes without the store, which had not answered in time`);
  const records = pages.flatMap((page) => page.records);

  await t.test('whatever the provider does, no session is lost and no frontend sees a 401', () => {
    // A machine that is too slow for the store to be asked in time leaves replicas to themselves, as documented.
    assert.ok(lost(pages) <= alone, `${lost(pages)} sessions lost`);
    if (alone === 0) assert.deepEqual(records.filter(({ status }) => status !== 200).map(inWords), []);
    assert.ok(pages.every(({ ends }) => ends.size > 1));
  });

  await t.test('of all replicas one presents a refresh token (G12)', () => {
    const calls = op.tokenCalls('refresh_token');
    const rotated = calls.filter(({ params, answer }) => answer?.refresh_token !== params.refresh_token).map(({ params }) => params.refresh_token);
    assert.ok(rotated.length - new Set(rotated).size <= alone, `${rotated.length} calls with ${new Set(rotated).size} tokens`);
  });
});

test('processes and the provider fail while traffic runs', { timeout: HANGS_MS }, async (t) => {
  const fleet = await setFleet(t, {
    keys: Array(3).fill({ reload_interval: '1s' }),
    server: { shutdown_delay: '3s', shutdown_grace: '5s' },
    // A leeway must outlast the outage that cuts off an answer.
    provider: {
      rotation: (login) => (policyOf(login) === 'leeway' ? POLICIES.leeway(30 + OUTAGE_SECONDS) : POLICIES.reuse),
    },
    leeway: 30,
    nginx: { server: 'proxy_next_upstream error timeout; proxy_connect_timeout 2s;', backend: 'max_fails=1 fail_timeout=1s' },
  });
  const { op, replicas, nginx, keysDir } = fleet;
  let seconds = 6;
  Object.defineProperty(op, 'accessTokenSeconds', { get: () => seconds - Math.round(Math.random()) });
  const pages = await signedIn(t, fleet, ['reuse', 'leeway'].flatMap((key) => Array.from({ length: 12 }, (_, i) => ({ login: `${key}-${i}` }))));
  const traffic = run(t, pages, async (page) => {
    await Promise.all(Array.from({ length: Math.random() < 0.3 ? 3 : 1 }, (_, i) => page.call(...path(page.records.length + i))));
    await sleep(between(100, 300));
  });
  const since = (time) => pages.flatMap(({ records }) => records).filter(({ began }) => began >= time);
  const failures = (time) => since(time).filter(({ status }) => status !== 200);
  const ports = (without) => replicas.filter((replica) => replica !== without).map(({ port }) => port);
  const pass = async (requests) => {
    const before = since(0).length;
    await eventually(`${requests} requests more`, () => since(0).length >= before + requests);
  };

  await t.test('kill -9 of each replica: nothing fails but what it had in hand, and no session is lost (G19)', async () => {
    const from = Date.now();
    const deaths = [];
    for (const replica of replicas) {
      await pass(between(30, 60));
      await replica.kill();
      deaths.push({ at: Date.now(), port: replica.port });
      await pass(60);
      await replica.start();
      const back = Date.now();
      // nginx leaves it out for up to two seconds: it counts `fail_timeout` in whole ones. If all three were left out, it would answer itself.
      await eventually('it gets requests again', () => since(back).some(({ replica: at }) => String(at).includes(replica.port)));
      await pass(60);
    }
    // nginx hands nothing to a dead process once it has seen the end of the connection.
    const inHand = (record) => deaths.some(({ at, port }) => (
      record.began < at + 500 && record.ended > at - 500 && (isCutOff(record) || (record.status === 502 && record.replica.includes(port)))));
    assert.deepEqual(failures(from).filter((record) => !inHand(record)).map(inWords), []);
    t.diagnostic(`kill -9 × ${deaths.length}: ${since(from).length} requests, ${failures(from).length} failed in hand, ${lost(pages)} sessions lost`);
  });

  await t.test('a rolling restart with drain, a new key on its way: no request fails', async () => {
    const from = Date.now();
    const { added } = await rotateKeys(keysDir, '--activate-in', '4s');
    for (const replica of replicas) {
      const gone = replica.stop();
      // What a controller does: it watches readiness, and takes the replica out of the balancer.
      await eventually('it is not ready', async () => (await request(`${replica.admin}/readyz`)).status === 503);
      await nginx.use(ports(replica));
      assert.deepEqual(await gone, { code: 0, signal: null }, tail(replica.output));
      await replica.start();
      await nginx.use(ports());
    }
    assert.deepEqual(failures(from).map(inWords), []);
    await eventually('the new key seals', () => pages.some(({ browser }) => (
      sealedBy(browser.jar.of('localhost').get(COOKIE)?.value ?? '', [added]))));
    t.diagnostic(`rolling restart × ${replicas.length}, a key rotated: ${since(from).length} requests, ${failures(from).length} failed`);
  });

  await t.test('the provider is down: who holds a valid access token never notices, others sign in no more often (G6)', async () => {
    // Who refreshes now holds a token that outlives the outage: some do, before it begins.
    seconds = OUTAGE_SECONDS * 2 + 6;
    const long = () => new Set(op.tokenCalls('refresh_token').filter(({ answer }) => answer?.expires_in > OUTAGE_SECONDS * 2)
      .map(({ answer }) => jwtPart(answer.id_token, 1).sub));
    await eventually('a third hold such a token', () => long().size >= pages.length / 3);
    op.goDown();
    const from = Date.now();
    const ends = new Map();
    await each(pages, 6, async (page) => ends.set(page.login, (await page.session()).access_token_expires_at * 1000));
    // Longer than the tokens of some, and shorter than those of others.
    await sleep(OUTAGE_SECONDS * 1000);
    const until = Date.now();
    op.comeBack();
    seconds = 6;
    const during = since(from).filter(({ ended }) => ended < until);
    const mustPass = ({ login, ended }) => ended < ends.get(login);
    assert.deepEqual(during.filter((record) => mustPass(record) && record.status !== 200).map(inWords), []);
    const wrong = ({ status, code }) => status !== 200 && !(status === 503 && code === 'identity-provider-unavailable');
    assert.deepEqual(failures(from).filter(wrong).map(inWords), []);
    const [safe, spent] = [pages.filter(({ login }) => ends.get(login) > until), pages.filter(({ login }) => ends.get(login) < until)];
    assert.ok(safe.length > 0 && spent.length > 0, `${safe.length} tokens outlived the outage, ${spent.length} did not`);
    await eventually('every session is served again', () => pages.every(({ records }) => (
      records.some(({ began, status }) => began > until && status === 200))));
    const back = Date.now();
    await eventually('each has gone on', () => pages.every(({ records }) => records.filter(({ began }) => began > back).length > 2));
    assert.deepEqual(failures(back).map(inWords), []);
    t.diagnostic(`provider down for ${OUTAGE_SECONDS} s: ${during.length} requests; ${safe.length} sessions never noticed, ${
      spent.length} saw ${failures(from).length} × 503, ${lost(pages)} sessions lost`);
  });

  await traffic.end();
  await t.test('no session was lost, none mixed up, and every process ended in peace', async () => {
    assert.equal(lost(pages), 0);
    assertNothingMixedUp(pages, (record) => [200, 502, 503].includes(record.status) || isCutOff(record));
    await assertPeace(fleet);
  });
});

/** Every process ends when it is told to, and none has panicked. */
const assertPeace = ({ replicas }) => Promise.all(replicas.map(async (replica) => {
  assert.deepEqual(await replica.stop(), { code: 0, signal: null }, tail(replica.output));
  assert.doesNotMatch(replica.output, /panicked at/);
}));

/** Sessions of every policy, each with bursts around the end of its access tokens; a table, and what must hold of any. */
async function expiries(t, { coordination }) {
  const fleet = await setFleet(t, {
    coordination,
    // A request that begins in the last moments of an access token arrives with it a little later.
    leeway: 30,
    // The last fifth of five seconds is one second: long enough to be met.
    provider: { rotation: (login) => UNDER_TEST.get(policyOf(login)), accessTokenSeconds: 5 },
  });
  // An answer that sets cookies is as slow as the API behind it.
  fleet.api.delay = () => (Math.random() < 0.1 ? 250 : between(0, 20));
  const pages = await signedIn(t, fleet, [...UNDER_TEST].flatMap(([key, { repeatAfter }]) => (
    Array.from({ length: SESSIONS }, (_, i) => ({ login: `${key}-${i}`, repeatAfter })))));
  const turns = new Turns(BURSTS_AT_ONCE);
  const traffic = run(t, pages, async (page) => {
    const { active, access_token_expires_at: end } = await page.session();
    if (!active) return;
    page.ends.add(end);
    // The person works on, or comes back to a page that has been left alone.
    const moment = end * 1000 + (Math.random() < 0.5 ? between(-900, -100) : between(50, 1300));
    while (Date.now() < moment - 1500) {
      await page.call(...path(0));
      await sleep(between(300, 900));
    }
    await sleep(moment - Date.now());
    await turns.take(() => Promise.all(Array.from({ length: BURST }, (_, i) => page.call(...path(i)))));
  });
  const began = Date.now();
  await sleep(SECONDS * 1000);
  await eventually('everybody has met two expiries', () => pages.every(({ ends }) => ends.size > 2));
  await traffic.end();

  const loginOf = new Map(fleet.op.tokenCalls().filter(({ answer }) => answer?.id_token)
    .map(({ answer }) => [answer.refresh_token, jwtPart(answer.id_token, 1).sub]));
  const calls = fleet.op.tokenCalls('refresh_token')
    .map(({ params: { refresh_token: token }, status }) => ({ token, status, login: loginOf.get(token) }));
  t.diagnostic(`${fleet.replicas.length} replicas, ${coordination ? 'with' : 'without'} coordination, ${Math.round((Date.now() - began) / 1000)} s, bursts of ${BURST}:`);
  for (const line of table([...UNDER_TEST].map(([key, policy]) => {
    const ours = pages.filter(({ login }) => policyOf(login) === key);
    const sum = (of) => ours.reduce((total, page) => total + of(page), 0);
    const asked = calls.filter(({ login }) => policyOf(login) === key);
    // A token that is rotated is for one expiry; on a loaded machine a burst may outlast an access token unnoticed.
    const ends = policy.rotates === false ? sum((page) => page.ends.size) : new Set(asked.map(({ token }) => token)).size;
    return {
      'spent refresh tokens': policy.name,
      'sign-ins': sum((page) => page.signIns),
      requests: sum((page) => page.records.length),
      expiries: ends,
      'token calls': asked.length,
      'per expiry': (asked.length / ends).toFixed(2),
      refused: asked.filter(({ status }) => status !== 200).length,
      'conflict 401s': sum((page) => page.records.filter(isConflict).length),
      'login 401s': sum((page) => page.records.filter(isLost).length),
      'sessions lost': lost(ours),
      'slowest ms': Math.max(...ours.flatMap(({ records }) => records.map(({ began, ended }) => ended - began))),
    };
  }))) t.diagnostic(line);

  const samples = (await Promise.all(fleet.replicas.map(metricsOf))).flat();
  const alone = ['alone', 'failed'].reduce((sum, result) => sum + total(samples, 'sealgate_coordination_refresh_total', { result }), 0);

  await t.test('nothing but answers, conflicts and logins; never another person\'s', () => {
    // A replica that waited for another's result in vain says so, and keeps the cookies.
    const isInVain = ({ status, code }) => alone > 0 && status === 503 && code === 'identity-provider-unavailable';
    assertNothingMixedUp(pages, (record) => (
      record.status === 200 || (record.status === 401 && (isLost(record) || isConflict(record))) || isInVain(record)));
  });
  await t.test('every process ends in peace', async () => {
    await assertPeace(fleet);
  });
  return { ...fleet, pages, alone };
}
