// A certified provider that takes pushed requests only (RFC 9126), from a client that authenticates with a key (RFC 7523).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { jwtPart } from './lib/op.mjs';
import { passSignIn, passSignOut } from './lib/person.mjs';
import { assertCleanEnd, assertNothingLeaked, refreshes, setScene } from './lib/scene.mjs';

const CSRF = { 'x-csrf': '1' };
const TOKEN_SECONDS = 8;

test('pushed requests, and a client with a key', { timeout: 120_000 }, async (t) => {
  const scene = await setScene(t, {
    provider: { accessTokens: 'jwt', accessTokenSeconds: TOKEN_SECONDS, hasKey: true },
    oidc: { par: 'always' },
  });
  const { origin, op, browser } = scene;
  const get = (path) => browser.fetch(path, { headers: CSRF });
  const call = async () => (await get('/api/echo/x?y=1')).status;

  await t.test('signs in with a reference, and nothing of the request is in the address', async () => {
    const { hops } = await browser.open(`${origin}/bff/login?returnUrl=/`);
    const [asked] = hops.map(({ url }) => new URL(url)).filter((url) => url.href.startsWith(`${op.issuer}/auth`));
    assert.deepEqual([...asked.searchParams.keys()].sort(), ['client_id', 'request_uri']);
    await passSignIn(browser, op);
    assert.equal(JSON.parse((await get('/bff/session')).body).active, true);
    assert.equal(await call(), 200);
  });

  await t.test('says who it is by an assertion of its own for each call', async () => {
    for (let round = 1; round <= 2; round += 1) {
      await sleep((TOKEN_SECONDS + 1) * 1000);
      assert.equal(await call(), 200);
    }
    assert.deepEqual(refreshes(op).map(({ status }) => status), [200, 200]);
    const assertions = op.tokenCalls().map(({ params }) => params.client_assertion);
    assert.equal(new Set(assertions.map((assertion) => jwtPart(assertion, 1).jti)).size, 3, 'a login and two refreshes');
    assert.ok(assertions.every((assertion) => jwtPart(assertion, 1).aud === op.issuer));
    assert.ok(op.tokenCalls().every(({ params }) => params.client_secret === undefined));
    op.secrets.push(...assertions.map((value) => ({ what: 'a client assertion', value })));
  });

  await t.test('signs out, and revokes', async () => {
    const { refresh_token: last } = op.newest();
    const user = JSON.parse((await get('/bff/user')).body);
    await browser.click(user.find(({ type }) => type === 'bff:logout_url').value);
    await passSignOut(browser, op);
    assert.equal(await op.refreshTokenLives(last), false);
    assert.equal(await call(), 401);
  });

  await assertNothingLeaked(scene, browser.answers);
  await assertCleanEnd(scene);
});
