// FAPI 2.0 Security Profile with all its parts at once: pushed requests only (RFC 9126), from a client that authenticates with a
// key (RFC 7523), for tokens that are bound to another (RFC 9449). Provider and API insist on nonces. Keys and nonces change
// on the way. Once in Chromium, too.
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { calculateJwkThumbprint } from 'jose';

import { startBoundApi } from './lib/bound-api.mjs';
import { callFrom, openProfile, startChromium } from './lib/chromium.mjs';
import { rotateKeys } from './lib/keys.mjs';
import { ACCOUNT, jwtPart, newClientKey } from './lib/op.mjs';
import { passSignIn, passSignOut } from './lib/person.mjs';
import { POLICIES } from './lib/rotation.mjs';
import { assertCleanEnd, assertNothingLeaked, setScene } from './lib/scene.mjs';
import { eventually, HANGS_MS } from './lib/waiting.mjs';

const CSRF = { 'x-csrf': '1' };

/** What the profile asks of a provider: §5.3.2, §5.4.1. Refresh tokens are not rotated. */
const FAPI2 = {
  accessTokens: 'jwt',
  algorithm: 'ES256',
  hasKey: true,
  dpop: true,
  rotation: () => POLICIES.reuse,
  features: {
    fapi: { enabled: true, profile: '2.0' },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
  },
};

const kidOf = (pem) => calculateJwkThumbprint(createPublicKey(pem).export({ format: 'jwk' }));

test('FAPI 2.0', { timeout: HANGS_MS }, async (t) => {
  const scene = await setScene(t, { provider: FAPI2, oidc: { profile: 'fapi2' }, makeApi: startBoundApi });
  const { origin, op, api, browser, sealgate } = scene;
  const get = (path) => browser.fetch(path, { headers: CSRF });
  const published = async () => JSON.parse((await get('/bff/jwks')).body).keys.map(({ kid }) => kid);

  let broken;
  /** Each step stands on the one before. */
  const step = (name, run) => t.test(name, async (t) => {
    if (broken) throw new Error(`not tried, because "${broken}" failed`);
    await run(t).catch((error) => {
      broken = name;
      throw error;
    });
  });
  /** What the provider's endpoints said since the last time that somebody asked. */
  const verdicts = (route) => {
    const calls = op.calls.filter((call) => call.route === route && !call.isTold);
    return calls.map((call) => Object.assign(call, { isTold: true })).map(({ status, error }) => error ?? status);
  };
  const call = async () => {
    const answer = await get('/api/echo/7?x=1');
    assert.equal(answer.status, 200, answer.body);
  };
  /** The API refuses the token, as if it had been revoked: sealgate gets another one, and asks again. */
  const refresh = async (ask = call) => {
    const { access_token: old } = op.newest();
    api.refused.add(old);
    await ask();
    const { access_token: fresh, token_type: type } = op.newest();
    assert.notEqual(fresh, old);
    assert.equal(type, 'DPoP');
    return jwtPart(fresh, 1).cnf.jkt;
  };
  /** Puts a file of client keys in place and waits until these keys are the published ones, in this order. */
  const useClientKeys = async (...keys) => {
    const path = join(scene.dir, 'client-proof');
    await writeFile(`${path}.new`, keys.join(''), { mode: 0o600 });
    await rename(`${path}.new`, path);
    const kids = (await Promise.all(keys.map(kidOf))).join();
    const others = (await published()).slice(-1);
    process.kill(sealgate.pid, 'SIGHUP');
    await eventually('the keys are in use', async () => (await published()).join() === [kids, ...others].join());
  };
  const signedWith = () => jwtPart(op.tokenCalls().at(-1).params.client_assertion, 0).kid;

  await step('signs in with a reference, and nothing of the request is in the address', async () => {
    await browser.open(`${origin}/`);
    const { hops } = await browser.click('/bff/login?returnUrl=%2F');
    const [asked] = hops.map(({ url }) => new URL(url)).filter((url) => url.href.startsWith(`${op.issuer}/auth`));
    assert.deepEqual([...asked.searchParams.keys()].sort(), ['client_id', 'request_uri']);
    await passSignIn(browser, op);
    assert.equal(browser.url.href, `${origin}/`);
    assert.deepEqual(verdicts('pushed_authorization_request'), ['use_dpop_nonce', 201]);
    assert.deepEqual(verdicts('token'), [200], 'the nonce was known by then');
    const { token_type: type, id_token: idToken, access_token: accessToken } = op.newest();
    assert.deepEqual([type, jwtPart(idToken, 0).alg], ['DPoP', 'ES256']);
    const [client, bound] = await published();
    assert.equal(client, await kidOf(op.clientKey));
    assert.equal(jwtPart(accessToken, 1).cnf.jkt, bound);
  });

  await step('the API gets a proof with each request, and with its newest nonce', async () => {
    for (const nonce of ['second', 'third']) {
      api.nonce = nonce;
      await call();
      await call();
      assert.deepEqual(api.taken().map(({ refusal }) => refusal), ['nonce', undefined, undefined], 'one retry');
    }
  });

  await step('a refresh brings a token that is bound as well', async () => {
    await refresh();
    assert.deepEqual(verdicts('token'), [200]);
    assert.deepEqual(api.refusals(), ['a token that has ended']);
  });

  await step('follows the provider to another nonce', async () => {
    op.restart();
    await refresh();
    assert.deepEqual(verdicts('token'), ['use_dpop_nonce', 200], 'one retry');
  });

  await step('another key of the client takes over, and nobody notices', async () => {
    const [old, fresh] = [op.clientKey, newClientKey()];
    await useClientKeys(old, fresh);
    await refresh();
    assert.equal(signedWith(), await kidOf(old));
    // As after the time for which it keeps the keys: both are published, so it is no matter which it meets first.
    op.restart();
    await refresh();
    await useClientKeys(fresh, old);
    await refresh();
    assert.equal(signedWith(), await kidOf(fresh));
    await useClientKeys(fresh);
    await refresh();
    assert.equal(verdicts('token').filter((verdict) => verdict !== 'use_dpop_nonce').join(), '200,200,200,200');
  });

  await step('says who it is by an assertion of its own for each call', async () => {
    const assertions = op.calls.map(({ params }) => params.client_assertion).filter(Boolean);
    assert.equal(new Set(assertions.map((assertion) => jwtPart(assertion, 1).jti)).size, assertions.length);
    assert.ok(assertions.length > 8, `${assertions.length}`);
    assert.ok(assertions.every((assertion) => jwtPart(assertion, 1).aud === op.issuer));
    assert.ok(op.calls.every(({ params }) => params.client_secret === undefined));
    op.secrets.push(...assertions.map((value) => ({ what: 'a client assertion', value })));
  });

  await step('another key of the ring: a token stays with its own, and the next one is bound anew', async () => {
    const [, before] = await published();
    await rotateKeys(scene.keys, '--now');
    process.kill(sealgate.pid, 'SIGHUP');
    await eventually('both are published', async () => (await published()).length === 3);
    const after = (await published()).slice(1).find((kid) => kid !== before);
    api.taken();
    await call();
    assert.deepEqual(api.taken().map(({ jkt }) => jkt), [before]);
    assert.equal(await refresh(), after);
    assert.deepEqual(api.taken().map(({ jkt }) => jkt), [before, after]);
  });

  await step('signs out, and revokes', async () => {
    const { refresh_token: last } = op.newest();
    const user = JSON.parse((await get('/bff/user')).body);
    await browser.click(user.find(({ type }) => type === 'bff:logout_url').value);
    await passSignOut(browser, op);
    assert.equal(await op.refreshTokenLives(last), false);
    assert.equal((await get('/api/echo/7')).status, 401);
  });

  let seen = [];
  await step('a person in Chromium', async (t) => {
    const { context, answers, settled } = await openProfile(await startChromium(t));
    const page = await context.newPage();
    const callApi = async () => {
      await page.click('#call');
      await page.waitForFunction(() => /^\d{3} /.test(document.getElementById('answer').textContent));
      return page.textContent('#answer');
    };
    await page.goto(`${origin}/`);
    await page.waitForSelector('body[data-ready=yes]');
    await page.click('#login');
    await page.fill('input[name=login]', 'grace');
    await page.fill('input[name=password]', 'any');
    await page.click('button[type=submit]');
    await page.click('text=Continue');
    await page.waitForURL(`${origin}/?welcome`);
    await page.waitForSelector('body[data-ready=yes]');
    assert.equal(await page.textContent('#who'), ACCOUNT.name);
    assert.match(await callApi(), /^200 /);
    api.nonce = 'fourth';
    await refresh(async () => assert.match(await callApi(), /^200 /));
    await page.click('#logout');
    await page.click('text=Yes, sign me out');
    await page.waitForURL(`${origin}/`);
    await page.waitForSelector('body[data-ready=yes]');
    assert.match(await callFrom(page, '/api/echo/x'), /^401 .*login-required/);
    await settled();
    seen = answers;
  });

  await assertNothingLeaked(scene, [...browser.answers, ...seen]);
  await assertCleanEnd(scene);
});
