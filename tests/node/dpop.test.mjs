// Tokens that are bound to a key (DPoP, RFC 9449) against a certified provider, and an API that verifies proofs with `jose`. Both
// insist on nonces.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startBoundApi } from './lib/bound-api.mjs';
import { passSignIn, passSignOut, signInUntilExpiry } from './lib/person.mjs';
import { assertCleanEnd, assertNothingLeaked, setScene } from './lib/scene.mjs';

const CSRF = { 'x-csrf': '1' };

test('tokens that are bound to a key', async (t) => {
  const scene = await setScene(t, {
    provider: { accessTokens: 'jwt', dpop: true },
    oidc: { dpop: 'always' },
    makeApi: startBoundApi,
  });
  const { origin, op, api, browser } = scene;
  const verdicts = (grant) => op.tokenCalls(grant).map(({ status, error }) => error ?? status);

  await t.test('login follows the nonce of the provider, from the pushed request on', async () => {
    await browser.open(`${origin}/`);
    const { keys: [key] } = JSON.parse((await browser.fetch('/bff/jwks')).body);
    const { hops: [begun] } = await browser.click('/bff/login?returnUrl=%2F');
    assert.deepEqual([key.alg, key.crv, key.d], ['ES256', 'P-256', undefined]);
    // The provider has PAR: the request was pushed, with `dpop_jkt` and a proof, and the nonce was followed there.
    assert.deepEqual([...new URL(begun.headers.location).searchParams.keys()].sort(), ['client_id', 'request_uri']);
    await passSignIn(browser, op);
    assert.equal(browser.url.href, `${origin}/`);
    assert.deepEqual(verdicts('authorization_code'), [200], 'the nonce was known by then');
    assert.equal(op.newest().token_type, 'DPoP');
  });

  await t.test('the API gets a proof with each request, and with its nonce', async () => {
    for (const nonce of ['first', 'second']) {
      api.nonce = nonce;
      const answer = await browser.fetch('/api/echo/7?x=1', { headers: CSRF });
      assert.equal(answer.status, 200, answer.body);
      assert.equal(answer.headers['dpop-nonce'], undefined);
      const posted = await browser.fetch('/api/echo', { method: 'POST', body: 'hello', headers: CSRF });
      assert.deepEqual(JSON.parse(posted.body), { url: '/v1', body: 'hello' });
      assert.deepEqual(api.refusals(), ['nonce'], 'one retry');
    }
    api.nonce = 'third';
    const posted = await browser.fetch('/api/echo', { method: 'POST', body: 'hello', headers: CSRF });
    assert.deepEqual(JSON.parse(posted.body), { url: '/v1', body: 'hello' });
    assert.deepEqual(api.refusals(), ['nonce'], 'a body goes again');
  });

  await t.test('a refresh brings a token that is bound as well', async () => {
    await signInUntilExpiry(browser, op, `${origin}/bff/login`);
    assert.deepEqual(verdicts('refresh_token'), []);
    const answer = await browser.fetch('/api/echo/8', { headers: CSRF });
    assert.equal(answer.status, 200, answer.body);
    assert.equal(verdicts('refresh_token').at(-1), 200);
    assert.equal(verdicts('refresh_token').filter((verdict) => verdict === 200).length, 1);
    assert.equal(op.newest().token_type, 'DPoP');
    assert.deepEqual(api.refusals(), []);
  });

  await t.test('logout', async () => {
    const { refresh_token: last } = op.newest();
    const user = JSON.parse((await browser.fetch('/bff/user', { headers: CSRF })).body);
    await browser.click(user.find(({ type }) => type === 'bff:logout_url').value);
    await passSignOut(browser, op);
    assert.equal(await op.refreshTokenLives(last), false);
    assert.equal((await browser.fetch('/api/echo', { headers: CSRF })).status, 401);
  });

  await assertNothingLeaked(scene, browser.answers);
  await assertCleanEnd(scene);
});
