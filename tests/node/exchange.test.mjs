// A token for each API (RFC 8693) at a certified provider: the user's token is exchanged, once for many calls.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { TOKEN_EXCHANGE } from './lib/exchange.mjs';
import { jwtPart } from './lib/op.mjs';
import { passSignIn } from './lib/person.mjs';
import { assertCleanEnd, assertNothingLeaked, refreshes, setScene } from './lib/scene.mjs';
import { metricsOf, total } from './lib/sealgate.mjs';
import { HANGS_MS } from './lib/waiting.mjs';

const CSRF = { 'x-csrf': '1' };
const ORDERS = 'urn:stories:orders';
const PARALLEL = 12;

const route = (name, audience) => `
[frontend.shop.route.${name}]
path     = "/api/${name}"
upstream = "echo"
token    = "user"
exchange = { audience = "${audience}", scopes = ["orders.read"] }
`;

test('a token for each API', { timeout: HANGS_MS }, async (t) => {
  const scene = await setScene(t, {
    provider: { exchanges: [ORDERS] },
    tables: route('orders', ORDERS) + route('stranger', 'urn:stories:stranger'),
    accepts: (token) => jwtPart(token, 1)?.aud === ORDERS,
  });
  const { origin, op, api, browser, sealgate } = scene;
  const get = (path) => browser.fetch(path, { headers: CSRF });
  const exchanges = () => op.tokenCalls(TOKEN_EXCHANGE);
  await browser.open(`${origin}/bff/login?returnUrl=/`);
  await passSignIn(browser, op);
  const login = op.newest().access_token;

  await t.test('the exchanged token goes along, and the user\'s own does not', async () => {
    const answers = await Promise.all(Array.from({ length: PARALLEL }, () => get('/api/orders/7')));
    assert.deepEqual(answers.map(({ status }) => status), Array(PARALLEL).fill(200), answers[0].body);
    assert.equal(exchanges().length, 1, 'one exchange for all');
    const { params } = exchanges()[0];
    assert.deepEqual([params.subject_token, params.audience, params.scope], [login, ORDERS, 'orders.read']);
    const tokens = new Set(api.received.map(({ token }) => token));
    assert.equal(tokens.size, 1);
    const claims = jwtPart([...tokens][0], 1);
    assert.deepEqual([claims.aud, claims.sub, claims.scope], [ORDERS, 'ada', 'orders.read']);
    assert.equal((await get('/api/echo/x')).status, 200);
    assert.equal(api.last().token, login, 'another route gets the user\'s own');
  });

  await t.test('an audience that the provider refuses is no reason to sign in again', async () => {
    const before = api.received.length;
    for (let i = 0; i < 3; i += 1) {
      const answer = await get('/api/stranger/x');
      assert.deepEqual([answer.status, JSON.parse(answer.body).code], [403, 'insufficient-scope']);
    }
    assert.equal(api.received.length, before, 'the API was not asked');
    assert.equal(exchanges().filter(({ error }) => error === 'invalid_target').length, 1, 'remembered');
    assert.equal((await get('/api/orders/7')).status, 200);
  });

  await t.test('after a refresh the new token is exchanged', async () => {
    // An API that gets the user's own token refuses it, so sealgate gets another one.
    await op.endAccessToken(login);
    assert.equal((await get('/api/echo/x')).status, 200);
    assert.equal(refreshes(op).length, 1);
    assert.equal((await get('/api/orders/7')).status, 200);
    assert.equal(refreshes(op).length, 1);
    const { params } = exchanges().at(-1);
    assert.notEqual(params.subject_token, login);
    assert.ok(await op.accessTokenLives(params.subject_token));
    const samples = await metricsOf(sealgate);
    assert.equal(total(samples, 'sealgate_exchange_total', { result: 'ok' }), 2);
  });

  await assertNothingLeaked(scene, browser.answers);
  await assertCleanEnd(scene);
});
