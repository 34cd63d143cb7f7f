// A session bound to its device in a real browser (Device Bound Session Credentials).
//
// Chromium signs with software keys here, which it has for tests; on Linux it does not offer this otherwise. What it sends
// by itself no page sees, so the story looks at cookies, at what sealgate counts, and at Chromium's own events.
import assert from 'node:assert/strict';
import { get } from 'node:https';
import { test } from 'node:test';

import { deviceEvents, openDevice } from './lib/chromium.mjs';
import { rotateKeys } from './lib/keys.mjs';
import { ACCOUNT } from './lib/op.mjs';
import { clickThroughSignIn } from './lib/person.mjs';
import { assertCleanEnd, assertNothingLeaked, refreshes, setScene } from './lib/scene.mjs';
import { metricsOf, total } from './lib/sealgate.mjs';
import { eventually } from './lib/waiting.mjs';

const COOKIE = '__Host-shop-device';
const PARALLEL = 12;

test('a session that is bound to its device', async (t) => {
  const scene = await setScene(t, { tls: true, session: { device_binding: 'preferred' } });
  const { origin, op, sealgate, certificate } = scene;
  const { context, answers, settled } = await openDevice(t, certificate);
  const page = await context.newPage();
  const events = await deviceEvents(context, page);

  const cookies = async () => (await context.cookies()).filter(({ domain }) => domain === 'localhost');
  const proof = async () => (await cookies()).find(({ name }) => name === COOKIE)?.value;
  const asked = async (route, outcome = 'ok') => total(await metricsOf(sealgate), 'sealgate_requests_total', { route, outcome });
  const heard = () => JSON.stringify(events, null, 1);
  /** So many calls of the page at once: their statuses. */
  const call = (count) => page.evaluate((n) => Promise.all(Array.from({ length: n }, async (_, i) => (
    (await fetch(`/api/echo/${i}`, { headers: { 'X-CSRF': '1' } })).status))), count);

  await t.test('registers by itself after a login', async () => {
    await page.goto(`${origin}/`);
    await page.click('#login');
    await clickThroughSignIn(page);
    await page.waitForURL(`${origin}/?welcome`);
    await page.waitForSelector('body[data-ready=yes]');
    assert.equal(await page.textContent('#who'), ACCOUNT.name);
    // The cookie comes first: Chromium knows its session only when it has read the answer to the end.
    const added = await eventually('the registration', () => events.find(({ creationEventDetails }) => creationEventDetails), heard);
    assert.equal(added.creationEventDetails.fetchResult, 'Success', heard());
    assert.equal(await asked('device'), 1);
    const cookie = (await cookies()).find(({ name }) => name === COOKIE);
    assert.deepEqual([cookie.httpOnly, cookie.secure, cookie.sameSite, cookie.path], [true, true, 'Strict', '/']);
    assert.deepEqual(await call(3), [200, 200, 200]);
    assert.equal(await asked('device/refresh'), 0);
  });

  await t.test('is of no use elsewhere without its device', async () => {
    const copy = await cookies();
    const header = (all) => all.map(({ name, value }) => `${name}=${value}`).join('; ');
    const elsewhere = (path, cookie) => new Promise((resolve, reject) => {
      get(`${origin}${path}`, { ca: certificate.pem, agent: false, headers: { cookie, 'x-csrf': '1' } }, (res) => {
        let body = '';
        res.setEncoding('utf8').on('data', (text) => { body += text; });
        res.on('end', () => resolve(`${res.statusCode} ${JSON.parse(body).code ?? ''}`));
      }).on('error', reject);
    });
    // What is left of the copy when the last proof's cookie has ended: the thief has no key to get another with.
    const old = header(copy.filter(({ name }) => name !== COOKIE));
    for (const path of ['/api/echo', '/bff/user', '/bff/session']) {
      assert.equal(await elsewhere(path, old), '401 device-proof-required', path);
    }
  });

  await t.test('proves once for all requests that wait, and brings new tokens', async () => {
    const refused = await asked('echo', 'device-proof-required');
    for (let round = 1; round <= 2; round += 1) {
      const before = { proof: await proof(), spent: refreshes(op).length };
      await context.clearCookies({ name: COOKIE });
      assert.deepEqual(await call(PARALLEL), Array(PARALLEL).fill(200));
      assert.equal(await asked('device/refresh'), round);
      assert.notEqual(await proof(), before.proof);
      assert.equal(refreshes(op).length, before.spent + 1, 'one token call');
    }
    assert.equal(await asked('echo', 'device-proof-required'), refused, 'none of the page');
  });

  await t.test('goes on when the keys rotate', async () => {
    await rotateKeys(scene.keys, '--now');
    process.kill(sealgate.pid, 'SIGHUP');
    await eventually('the new key', async () => total(await metricsOf(sealgate), 'sealgate_keyring_keys') === 2);
    await context.clearCookies({ name: COOKIE });
    assert.deepEqual(await call(3), [200, 200, 200]);
    assert.equal(await asked('device/refresh'), 3);
  });

  await t.test('ends with the logout, and is not brought back', async () => {
    await page.click('#logout');
    await page.waitForURL(`${op.issuer}/**`);
    assert.equal(await proof(), undefined);
    await page.goto(`${origin}/`);
    await page.waitForSelector('body[data-ready=yes]');
    assert.equal(await page.textContent('#who'), 'nobody');
    await eventually('the end', () => events.find(({ terminationEventDetails }) => terminationEventDetails), heard);
    const proofs = await asked('device/refresh');
    assert.deepEqual(await call(2), [401, 401]);
    assert.equal(await asked('device/refresh'), proofs, 'nothing is left to prove');
    assert.equal(await proof(), undefined);
  });

  await settled();
  await assertNothingLeaked(scene, answers);
  await context.close();
  await assertCleanEnd(scene);
});
