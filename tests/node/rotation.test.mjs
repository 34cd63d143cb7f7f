// Keys rotate under load, unseen: three processes, one key directory, nginx in turns, many sessions that never pause.
//
// Each request is written down with the key that had sealed its session. What the rules call for is worked out from the
// key files and the clock; anything else is a failure of the story (requirements E18 to E21).
import assert from 'node:assert/strict';
import { cp, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomBytes } from 'node:crypto';

import { Browser } from './lib/browser.mjs';
import { cookiesOf } from './lib/cookies.mjs';
import { setFleet } from './lib/fleet.mjs';
import { badFiles, rotateKeys, sealedBy } from './lib/keys.mjs';
import { passSignIn } from './lib/person.mjs';
import { POLICIES } from './lib/rotation.mjs';
import { metricsOf, startSealgate, tail, total } from './lib/sealgate.mjs';
import { each, eventually, HANGS_MS } from './lib/waiting.mjs';

const SESSIONS = 30;
/** Access tokens end so soon that each session is written anew every few seconds; some sooner, so that writes are spread. */
const TOKEN_SECONDS = 6;
const SOONER = 1;
/** Longer than the life of a token, so that each key gets to see every session. */
const ROUND_MS = 7500;
/** Different, so that replicas learn of a key one after another; all shorter than the least real delay of `--activate-in 3s`. */
const RELOADS = ['1s', '1300ms', '1700ms'];
const SLOWEST_RELOAD_MS = 1700;
/** For the machine, not for sealgate: timers are late under load. */
const SLACK_MS = 800;
const PAUSE_MS = 120;
/** A page asks for several things at once. */
const BURST = 3;
const CSRF = { 'x-csrf': '1' };
const COOKIE = '__Host-Http-shop';

test('rotation under load', { timeout: HANGS_MS }, async (t) => {
  const scene = await setFleet(t, {
    keys: RELOADS.map((reload) => ({ reload_interval: reload })),
    provider: {
      // Parallel requests may meet different replicas, which share no memory of a spent token (src/oidc/README.md).
      rotation: () => POLICIES.reuse,
      extraClaims: (login) => (login.startsWith('big') ? { filler: randomBytes(2400).toString('base64url') } : {}),
    },
    session: { idle_timeout: '30s' },
    // A failure is not papered over by another replica.
    nginx: { server: 'proxy_next_upstream off;' },
  });
  const { dir, keysDir, origin, certificate, op, replicas, names } = scene;
  Object.defineProperty(op, 'accessTokenSeconds', { get: () => TOKEN_SECONDS - SOONER * Math.round(Math.random()) });
  const ring = new Ring(keysDir);
  await ring.note();

  const people = Array.from({ length: SESSIONS }, (_, i) => ({
    // Every third session needs two cookies.
    login: i % 3 ? `person-${i}` : `big-${i}`,
    browser: new Browser({ ca: certificate.pem }),
    requests: 0,
  }));
  t.after(() => people.forEach(({ browser }) => browser.close()));
  const records = [];
  let over = false;
  t.after(() => { over = true; });

  const held = ({ browser }) => sealedBy(browser.jar.of('localhost').get(COOKIE)?.value ?? '', ring.kids());
  const signIn = async (person) => {
    await person.browser.open(`${origin}/bff/login?returnUrl=/bff/session`);
    await passSignIn(person.browser, op, { login: person.login });
    assert.ok(held(person), `${person.login} is not signed in: ${person.browser.url}\n${person.browser.page}`);
  };
  /** One request, and everything about it that the rules speak of. */
  const use = async (person) => {
    const [sealed, began] = [held(person), Date.now()];
    person.requests += 1;
    const path = person.requests % 5 ? `/api/echo/${person.requests}` : '/bff/user';
    const answer = await person.browser.fetch(path, { headers: CSRF, page: new URL(origin) });
    person.browser.answers.length = 0;
    const cookies = cookiesOf(answer, names).filter(({ kind }) => kind === 'session');
    const first = cookies.find(({ name, deleted }) => name === COOKIE && !deleted);
    const record = {
      login: person.login,
      path,
      sealed,
      began,
      ended: Date.now(),
      status: answer.status,
      body: answer.status === 200 ? '' : answer.body,
      replica: answer.headers['x-replica'],
      resealed: first && (sealedBy(first.value, ring.kids()) ?? 'a key that is not in the ring'),
      deletions: cookies.filter(({ deleted }) => deleted).map(({ name }) => name),
    };
    records.push(record);
    return record;
  };
  const traffic = async (person) => {
    while (!over) {
      await Promise.all(Array.from({ length: Math.random() < 0.3 ? BURST : 1 }, () => use(person)));
      await sleep(PAUSE_MS * (0.5 + Math.random()));
    }
  };

  /** How often each key has opened a session so far, over all replicas, second by second. */
  const opened = [];
  const watch = async () => {
    while (!over) {
      const samples = (await Promise.all(replicas.map(metricsOf))).flat();
      opened.push({ at: Date.now(), by: new Map(ring.kids().map((kid) => [kid, total(samples, 'sealgate_open_total', { kid })])) });
      await sleep(500);
    }
  };
  const failures = () => records.filter(({ status }) => status !== 200).map(inWords);
  const dropped = {};
  const dead = () => people.filter((person) => held(person) === dropped.kid);

  await each(people, 6, signIn);
  const running = Promise.all([...people.map(traffic), watch()]);
  // A failure is met where `running` is awaited, not as an unhandled rejection before.
  running.catch(() => { over = true; });
  const began = Date.now();

  await t.test('rotations every few seconds are not seen by anybody', async () => {
    await eventually('everybody is at work', () => people.every(({ requests }) => requests > 3));
    for (let round = 0; round < 2; round += 1) {
      await ring.rotate('--force', '--activate-in', '3s', '--retire-after', '9s');
      await sleep(ROUND_MS);
    }
    // The third ends the reign of the second.
    const { added } = await ring.rotate('--force', '--activate-in', '3s', '--retire-after', '9s');
    await eventually('somebody is sealed with the third', () => records.some(({ resealed }) => resealed === added));
    assert.deepEqual(failures(), []);
  });

  await t.test('nor is a key that seals from the moment it is there, before replicas have read it', async () => {
    const kids = [];
    for (let round = 0; round < 3; round += 1) {
      kids.push((await ring.rotate('--now', '--retire-after', '9s')).added);
      // The next comes before each replica has read this one.
      await sleep(1200);
    }
    await sleep(SLOWEST_RELOAD_MS + SLACK_MS);
    assert.deepEqual(failures(), []);
    for (const kid of kids) assert.ok(records.some(({ resealed }) => resealed === kid), `somebody was sealed with ${kid}`);
  });

  await t.test('bad key files are refused by name, and harm nobody', async () => {
    const spare = join(dir, 'spare');
    for (const file of await badFiles(keysDir, spare)) {
      const before = await Promise.all(replicas.map(rejections));
      const marks = replicas.map(({ output }) => output.length);
      await file.put();
      for (const { pid } of replicas) process.kill(pid, 'SIGHUP');
      await Promise.all(replicas.map((replica, i) => eventually(`${file.what}: refused by name`, () => {
        const lines = replica.output.slice(marks[i]).split('\n').filter((line) => line.includes('the old one stays'));
        return lines.some((line) => line.includes(file.path) && file.says.test(line));
      }, () => tail(replica.output))));
      const after = await Promise.all(replicas.map(rejections));
      after.forEach((count, i) => assert.ok(count > before[i], `${file.what}: counted by replica ${i}`));
      await assert.rejects(rotateKeys(keysDir), ({ code, stderr }) => {
        assert.ok(code === 1 && stderr.includes(file.path) && file.says.test(stderr), `${file.what}: ${code} ${stderr}`);
        return true;
      });
      await file.take();
    }
    const secret = (await readFile(join(spare, (await rotateKeys(spare)).keys[0].kid + '.toml'), 'utf8')).match(/^secret = "(.*)"$/m)[1];
    for (const { output } of replicas) assert.ok(!output.includes(secret), 'a refused file is not quoted');
    assert.deepEqual(failures(), []);
    for (const { pid } of replicas) process.kill(pid, 'SIGHUP');
  });

  await t.test('an emergency drop ends the sessions of that key and no others', async () => {
    const { added } = await ring.rotate('--force', '--activate-in', '3s', '--retire-after', '9s');
    // Some sessions are sealed with the key then, and not all.
    await eventually('some are sealed with it', () => people.filter((person) => held(person) === added).length >= 5);
    dropped.kid = added;
    dropped.from = Date.now();
    await ring.rotate('--drop', added);
    dropped.known = Date.now() + SLOWEST_RELOAD_MS + SLACK_MS;
    // When each replica must have read that it is gone, each session of it is refused.
    const isRefused = ({ login }) => records.some((record) => record.login === login && record.began > dropped.known && record.status === 401);
    await eventually('they are refused', () => Date.now() > dropped.known && dead().every(isRefused));
  });

  await t.test('who was signed out keeps the cookie, and signs in again', async () => {
    const out = dead();
    assert.ok(out.length > 0 && out.length < SESSIONS, `${out.length} of ${SESSIONS} sessions ended`);
    dropped.sessions = out.length;
    dropped.again = Date.now();
    for (const person of out.slice(0, 3)) await signIn(person);
    const works = ({ login }) => records.some((record) => record.login === login && record.began > dropped.again && record.status === 200);
    await eventually('they work again', () => out.slice(0, 3).every(works));
  });

  over = true;
  const left = dead().length;
  await running;
  const seconds = (Date.now() - began) / 1000;

  await t.test('no 401 that the rules do not call for', () => {
    const wrong = records.filter(({ status, sealed, began: from, ended: to }) => {
      const mustFail = sealed === dropped.kid && from > dropped.known;
      const mayFail = sealed === dropped.kid && to >= dropped.from;
      return status === 200 ? mustFail : !mayFail || status !== 401;
    });
    assert.deepEqual(wrong.map(inWords), []);
    assert.ok(records.filter(({ status }) => status === 401).every(({ body }) => JSON.parse(body).code === 'login-required'));
  });

  await t.test('no session cookie was deleted by anybody', () => {
    assert.deepEqual(records.filter(({ deletions }) => deletions.length).map(inWords), []); // E19
    assert.deepEqual(people.flatMap(({ browser }) => browser.jar.refused), []);
    assert.equal(left, dropped.sessions - 3);
  });

  const resealed = records.filter((record) => record.resealed);
  await t.test('whatever was written was sealed with the primary of that moment', () => {
    const wrong = resealed.filter((record) => !ring.sealing(record.began, record.ended, dropped).includes(record.resealed));
    assert.deepEqual(wrong.map(inWords), []);
    // E20: each key that was primary for long enough has sealed every session at its next natural write.
    const reigns = [...ring.keys.values()].map((key) => ring.reign(key))
      .filter(({ from, until }) => from > began && until <= dropped.from && until - from > TOKEN_SECONDS * 1000 + SLACK_MS);
    assert.ok(reigns.length >= 2, `${reigns.length} keys were primary for long enough`);
    for (const { kid } of reigns) {
      const sealed = new Set(resealed.filter((record) => record.resealed === kid).map(({ login }) => login));
      assert.equal(sealed.size, SESSIONS, `${kid} sealed ${sealed.size} sessions`);
    }
  });

  await t.test('`sealgate_open_total` stands still once a key is needed no more', () => {
    let checked = 0;
    for (const key of ring.keys.values()) {
      const { until } = ring.reign(key);
      if (until === undefined || key.kid === dropped.kid) continue;
      // The last write by this key, and the life of the tokens in it.
      const unused = until + TOKEN_SECONDS * 1000 + SLOWEST_RELOAD_MS + SLACK_MS;
      const later = opened.filter(({ at, by }) => at > unused && by.has(key.kid)).map(({ by }) => by.get(key.kid));
      if (later.length < 2) continue;
      assert.ok(later[0] > 0, `${key.kid} was used`);
      assert.deepEqual([...new Set(later)], [later[0]], `${key.kid} was used after its time`);
      checked += 1;
    }
    assert.ok(checked >= 2, `${checked} keys`);
    const retired = [...ring.keys.values()].filter(({ removedAt, kid }) => removedAt && kid !== dropped.kid);
    assert.ok(retired.length >= 2, `${retired.length} keys were retired meanwhile`);
  });

  await t.test('a replica that lags behind answers 401 and leaves the cookies alone', async () => {
    // E19. Its own copy of the ring is from before the newest key, as with a slow `rsync`.
    const [port, adminPort] = scene.spare;
    const person = people.find((one) => !dead().includes(one));
    const copy = join(dir, 'copy');
    await mkdir(copy, { mode: 0o700 });
    const kid = held(person);
    const old = await rotateKeys(copy);
    const lagging = await startSealgate({ ...scene.options, name: 'lagging', keysDir: copy, port, adminPort });
    t.after(() => lagging.stop());
    const nginx = await scene.restartNginx([port]);
    const before = await use(person);
    assert.deepEqual([before.sealed, before.status, before.deletions, before.resealed], [kid, 401, [], undefined]);
    assert.equal(total(await metricsOf(lagging), 'sealgate_session_open_total', { result: 'unknown-key' }), 1);
    await cp(join(keysDir, `${kid}.toml`), join(copy, `${kid}.toml`));
    // Within the second in which it has looked already, it does not look again.
    await sleep(1100);
    // One of a page's parallel requests looks; all are answered by what it finds.
    const after = await Promise.all(Array.from({ length: 12 }, () => use(person)));
    assert.deepEqual(after.map(({ status }) => status), Array(12).fill(200));
    assert.notEqual(old.keys[0].kid, kid);
    await nginx.stop();
    assert.deepEqual(await lagging.stop(), { code: 0, signal: null });
  });

  const byReplica = Map.groupBy ? Map.groupBy(records, ({ replica }) => replica) : groupBy(records);
  const of = (wanted) => records.filter(({ status }) => status === wanted).length;
  t.diagnostic(`${records.length} requests of ${SESSIONS} sessions in ${seconds.toFixed(0)} s, by replica: ${
    [...byReplica.values()].map((list) => list.length).join(', ')}`);
  t.diagnostic(`${ring.rotations} rotations, ${ring.kids().length} keys; ${resealed.length} sessions written, ${
    resealed.filter((record) => record.resealed !== record.sealed).length} of them under another key`);
  t.diagnostic(`${of(200)} × 200; ${of(401)} × 401: ${dropped.sessions} sessions ended by --drop, and the lagging replica`);
  t.diagnostic(`refused readings of the key directory: ${(await Promise.all(replicas.map(rejections))).join(', ')}`);
  for (const replica of replicas) {
    assert.ok(records.filter((record) => record.replica === `127.0.0.1:${replica.port}`).length > records.length / 5);
    assert.deepEqual(await replica.stop(), { code: 0, signal: null }, tail(replica.output));
    assert.doesNotMatch(replica.output, /panicked at/);
  }
});

/** What the operator has done to the ring, and what follows from it at any moment. */
class Ring {
  keys = new Map();
  rotations = 0;

  constructor(dir) {
    this.dir = dir;
  }

  kids() {
    return [...this.keys.keys()];
  }

  /** Takes note of the first key. The one that this adds waits for minutes, so later rotations are forced. */
  async note() {
    const [kid] = (await this.rotate()).keys.map((key) => key.kid);
    this.rotations = 0;
    this.keys.get(kid).addedAt = 0;
  }

  async rotate(...options) {
    const began = Date.now();
    const done = await rotateKeys(this.dir, ...options);
    this.rotations += 1;
    for (const key of done.keys) if (!this.keys.has(key.kid)) this.keys.set(key.kid, { ...key, addedAt: began });
    for (const kid of done.removed) this.keys.get(kid).removedAt = Date.now();
    return done;
  }

  primary(at) {
    return [...this.keys.values()]
      .filter(({ activatesAt, addedAt, removedAt = Infinity }) => activatesAt <= at && addedAt <= at && removedAt > at)
      .sort((a, b) => a.activatesAt - b.activatesAt || (a.kid < b.kid ? -1 : 1)).at(-1);
  }

  /** The keys that may seal an answer to a request of this time: any that was primary, and the one before while replicas read. */
  sealing(from, to, dropped) {
    const kids = new Set();
    // A replica that has not yet read what is active at once goes on with the key before; scheduled keys it has read long ago.
    const unread = [...this.keys.values()]
      .filter(({ addedAt, activatesAt }) => addedAt - activatesAt > -1000 && from < addedAt + SLOWEST_RELOAD_MS + SLACK_MS && to > addedAt);
    const earliest = Math.min(from, ...unread.map(({ addedAt }) => addedAt - 1));
    for (let at = earliest; at <= to; at += 50) kids.add(this.primary(at)?.kid);
    kids.add(this.primary(to)?.kid);
    if (from < dropped.known && to > dropped.from) kids.add(dropped.kid);
    return [...kids];
  }

  /** From when to when a key was the primary. */
  reign({ kid, activatesAt, addedAt }) {
    const from = Math.max(activatesAt, addedAt);
    const next = [...this.keys.values()].map((key) => Math.max(key.activatesAt, key.addedAt))
      .filter((at) => at > from).sort((a, b) => a - b)[0];
    return { kid, from, until: next };
  }
}

const rejections = async (replica) => total(await metricsOf(replica), 'sealgate_keyring_reload_total', { result: 'rejected' });

const groupBy = (records) => records.reduce((map, one) => map.set(one.replica, [...(map.get(one.replica) ?? []), one]), new Map());

const inWords = ({ login, path, sealed, status, replica, resealed, deletions, body, began }) => (
  `${new Date(began).toISOString()} ${login} ${path} sealed by ${sealed} at ${replica} → ${status}, set ${resealed}, deleted ${deletions} ${body}`);
