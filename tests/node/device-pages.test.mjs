// A session that is bound to its device, at two replicas, with an application whose server answers every path (`documents`), and
// with a route that asks for a proof of the last minute. Chromium signs with software keys.
//
// nginx sends each registration to one replica and each proof to the other. They share keys, and nothing else.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { request } from 'node:https';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { deviceEvents, openDevice } from './lib/chromium.mjs';
import { setFleet } from './lib/fleet.mjs';
import { ACCOUNT } from './lib/op.mjs';
import { clickThroughSignIn } from './lib/person.mjs';
import { refreshes } from './lib/scene.mjs';
import { metricsOf, total } from './lib/sealgate.mjs';
import { eventually, HANGS_MS } from './lib/waiting.mjs';

const COOKIE = '__Host-shop-device';
const CSRF = { 'X-CSRF': '1' };
/** How old a proof may be where a fresh one is asked for. */
const FRESH_MS = 60_000;

const tables = (pages) => `
[upstream.pages]
url = "${pages.url}"

[frontend.shop.route.pages]
path      = "/"
upstream  = "pages"
token     = "user_or_none"
documents = true

[frontend.shop.route.pay]
path                 = "/api/pay"
upstream             = "echo"
token                = "user"
require_fresh_device = true
`;

const nginx = (registering, proving) => ({
  server: [['/bff/device', registering], ['/bff/device/refresh', proving]].map(([path, port]) => (
    `location = ${path} { proxy_pass http://127.0.0.1:${port}; proxy_set_header Host $http_host; }`)).join('\n'),
});

test('a bound session at two replicas, with pages of a server', { timeout: HANGS_MS }, async (t) => {
  const pages = await startPages(t);
  const fleet = await setFleet(t, { keys: [{}, {}], session: { device_binding: 'preferred' }, tables: tables(pages), nginx });
  const { origin, op, certificate, replicas } = fleet;
  const { context, answers, settled } = await openDevice(t, certificate);
  const page = await context.newPage();
  const events = await deviceEvents(context, page);
  const heard = () => JSON.stringify(events, null, 1);

  const proof = async () => (await context.cookies()).find(({ name }) => name === COOKIE)?.value;
  /** What each replica has answered. */
  const asked = (route, outcome = 'ok') => Promise.all(replicas.map(async (replica) => (
    total(await metricsOf(replica), 'sealgate_requests_total', { route, outcome }))));
  const fetched = (path, options = {}) => page.evaluate(async ([where, what]) => {
    const answer = await fetch(where, what);
    return `${answer.status} ${await answer.text()}`;
  }, [path, { headers: CSRF, ...options }]);
  const elsewhere = async (path) => {
    const cookies = (await context.cookies()).filter(({ domain, name }) => domain === 'localhost' && name !== COOKIE);
    const sent = request(`${origin}${path}`, {
      ca: certificate.pem, agent: false, family: 4,
      headers: { ...CSRF, cookie: cookies.map(({ name, value }) => `${name}=${value}`).join('; ') },
    }).end();
    const [answer] = await once(sent, 'response');
    let body = '';
    for await (const text of answer.setEncoding('utf8')) body += text;
    return `${answer.statusCode} ${JSON.parse(body).code}`;
  };

  await t.test('one replica takes the registration', async () => {
    await page.goto(`${origin}/bff/login?returnUrl=%2Forders`);
    await clickThroughSignIn(page);
    await page.waitForURL(`${origin}/orders`);
    await page.waitForSelector('body[data-user]');
    assert.equal(await page.getAttribute('body', 'data-user'), ACCOUNT.name);
    const added = await eventually('the registration', () => events.find(({ creationEventDetails }) => creationEventDetails), heard);
    assert.equal(added.creationEventDetails.fetchResult, 'Success', heard());
    assert.deepEqual([await asked('device'), await asked('device/refresh')], [[1, 0], [0, 0]]);
  });

  await t.test('the other one takes the proof, and either serves', async () => {
    const before = { proof: await proof(), spent: refreshes(op).length };
    await context.clearCookies({ name: COOKIE });
    const calls = await Promise.all(Array.from({ length: 8 }, (_, i) => fetched(`/api/echo/${i}`)));
    assert.deepEqual(calls.map((answer) => answer.slice(0, 4)), Array(8).fill('200 '));
    assert.notEqual(await proof(), before.proof);
    assert.deepEqual(await asked('device/refresh'), [0, 1]);
    assert.equal(refreshes(op).length, before.spent + 1, 'one token call');
    assert.deepEqual(await asked('echo', 'device-proof-required'), [0, 0]);
    assert.ok((await asked('echo', '2xx')).every((count) => count > 0), 'both served');
  });

  await t.test('a page that is made for the user waits for the proof, as an API does', async () => {
    assert.equal(await elsewhere('/orders'), '401 device-proof-required', 'the copy shows nobody’s page');
    await context.clearCookies({ name: COOKIE });
    const seen = pages.received.length;
    await page.goto(`${origin}/account`);
    await page.waitForSelector('body[data-user]');
    assert.deepEqual(await asked('device/refresh'), [0, 2]);
    assert.deepEqual(pages.received.slice(seen).map(({ url, hasToken }) => `${url} ${hasToken}`), ['/account true']);
    assert.equal((await asked('pages', 'device-proof-required')).reduce((sum, count) => sum + count), 1, 'only the copy');
  });

  await t.test('a link of another site leads to a page, and to the user’s at the next click', async () => {
    await context.clearCookies({ name: COOKIE });
    await page.goto(`${op.issuer}/.well-known/openid-configuration`);
    await page.evaluate((address) => { location.href = address; }, `${origin}/linked`);
    await page.waitForURL(`${origin}/linked`);
    await page.waitForSelector('body[data-user]');
    assert.equal(await page.getAttribute('body', 'data-user'), ACCOUNT.name);
  });

  await t.test('a route asks for a proof of the last minute', async () => {
    const [, before] = await asked('device/refresh');
    const proved = Date.now();
    assert.match(await fetched('/api/pay/new'), /^200 /);
    assert.deepEqual(await asked('device/refresh'), [0, before], 'the last proof is new');
    // The one wait for the clock: nothing else makes a proof old.
    await sleep(proved + FRESH_MS + 2000 - Date.now());
    assert.match(await fetched('/api/pay/old', { method: 'POST', body: 'everything' }), /^200 .*"body":"everything"/);
    assert.deepEqual(await asked('device/refresh'), [0, before + 1]);
    assert.match(await fetched('/api/pay/again'), /^200 /);
    assert.deepEqual(await asked('device/refresh'), [0, before + 1], 'once');
    await settled();
    const paid = answers.filter(({ url }) => url === `${origin}/api/pay/old`).map(({ method, status }) => `${method} ${status}`);
    assert.deepEqual(paid.sort(), ['POST 200', 'POST 307']);
    assert.equal(await elsewhere('/api/pay/1'), '401 device-proof-required');
  });
});

/** A server that answers each path with a page, whose script asks who the user is. */
async function startPages(t) {
  const received = [];
  const server = createServer((req, res) => {
    received.push({ url: req.url, hasToken: Boolean(req.headers.authorization) });
    res.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'no-store' }).end(`<!doctype html><html lang="en">
<title>Pages</title><link rel="icon" href="data:,"><body><h1>A page</h1><script type="module">
const user = await fetch('/bff/user', { headers: { 'X-CSRF': '1' } });
document.body.dataset.user = user.ok ? (await user.json()).find(({ type }) => type === 'name').value : 'nobody';
</script>`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { received, url: `http://127.0.0.1:${server.address().port}` };
}
