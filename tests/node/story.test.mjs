// The main story against a certified provider: sign in, call the API, let tokens expire, sign out.
//
// Black box: sealgate is a process, everything is seen on the wire. Over plain HTTP and over TLS of its own, with
// opaque and with JWT access tokens, refresh tokens rotating and not.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { asBrowsersConnect } from './lib/alpn.mjs';
import { fingerprint } from './lib/api.mjs';
import { Browser } from './lib/browser.mjs';
import { cookiesOf, kindsHeld } from './lib/cookies.mjs';
import { ACCOUNT, jwtPart, RESOURCE } from './lib/op.mjs';
import { passSignIn, passSignOut, signInUntilExpiry } from './lib/person.mjs';
import { POLICIES } from './lib/rotation.mjs';
import { assertCleanEnd, assertNothingLeaked, refreshes, setScene } from './lib/scene.mjs';

const CSRF = { 'x-csrf': '1' };
const PARALLEL = 12;

const SCENES = [
  { name: 'plain HTTP, opaque access tokens', tls: false, accessTokens: 'opaque' },
  { name: 'plain HTTP, JWT access tokens from a default resource', tls: false, accessTokens: 'jwt' },
  { name: 'TLS, opaque access tokens', tls: true, accessTokens: 'opaque' },
  { name: 'TLS, JWT access tokens by `resources`', tls: true, accessTokens: 'jwt', resources: [RESOURCE] },
];

test('the story', { concurrency: 2 }, async (t) => {
  await Promise.all(SCENES.map((scene) => t.test(scene.name, (t) => story(t, scene))));
});

async function story(t, { tls, accessTokens, resources }) {
  const scene = await setScene(t, {
    tls,
    provider: { accessTokens, ...(resources ? { defaultResource: false } : {}) },
    oidc: resources ? { resources } : {},
  });
  const { origin, op, api, browser, names } = scene;
  const get = (path) => browser.fetch(path, { headers: CSRF });
  const session = async () => JSON.parse((await get('/bff/session')).body);
  const held = () => kindsHeld(browser.jar, 'localhost', names);
  const setKinds = (answer, deleted = false) => [...new Set(
    cookiesOf(answer, names).filter((c) => c.deleted === deleted).map((c) => c.kind),
  )].sort();

  const assertAnonymous = async () => {
    const before = api.received.length;
    for (const path of ['/api/echo', '/bff/user']) {
      const answer = await get(path);
      assert.equal(answer.status, 401, path);
      const problem = JSON.parse(answer.body);
      assert.match(answer.headers['content-type'], /^application\/problem\+json/);
      assert.deepEqual([problem.code, problem.type], ['login-required', 'urn:sealgate:problem:login-required']);
      assert.match(problem.login_url, /^(https?:\/\/localhost:\d+)?\/bff\/login/);
    }
    assert.equal(api.received.length, before, 'the API was not asked');
    assert.deepEqual(await session(), { active: false });
  };
  const waitForExpiry = () => signInUntilExpiry(browser, op, `${origin}/bff/login?returnUrl=%2Forders`);

  await t.test('a stranger gets the application, and 401 from everything else', async () => {
    const page = await browser.open(`${origin}/`);
    assert.equal(page.status, 200);
    assert.match(page.body, /<script src="\/app\.js"/);
    assert.deepEqual(page.setCookies, []);
    await assertAnonymous();
  });

  if (tls) {
    await t.test('a client that offers HTTP/2, as all browsers do, is served in what TLS agreed on', async () => {
      const headers = { ...CSRF, 'sec-fetch-site': 'same-origin' };
      const { protocol, status, body } = await asBrowsersConnect(`${origin}/bff/session`, scene.certificate.pem, headers);
      assert.deepEqual({ status, body: JSON.parse(body) }, { status: 200, body: { active: false } }, protocol);
    });
  }

  await t.test('login leads to the provider, with PKCE, state and nonce', async () => {
    const { hops: [answer] } = await browser.click('/bff/login?returnUrl=%2Forders%3Fx%3D1');
    assert.equal(answer.status, 302);
    const to = new URL(answer.headers.location);
    assert.equal(to.origin + to.pathname, `${op.issuer}/auth`);
    // The provider takes pushed requests, so the browser carries a reference, and nothing of the request.
    assert.deepEqual([...to.searchParams.keys()].sort(), ['client_id', 'request_uri']);
    const { params } = op.calls.findLast(({ route }) => route === 'pushed_authorization_request');
    assert.deepEqual(
      [params.response_type, params.client_id, params.redirect_uri, params.code_challenge_method],
      ['code', 'shop', `${origin}/bff/callback`, 'S256'],
    );
    for (const key of ['state', 'nonce', 'code_challenge']) assert.match(params[key], /^[\w-]{43,}$/, key);
    // A provider with a default resource writes it in.
    assert.deepEqual([params.resource ?? []].flat(), accessTokens === 'jwt' ? [RESOURCE] : []);
    assert.deepEqual([setKinds(answer), setKinds(answer, true)], [['login'], []]);
    assert.match(answer.headers['cache-control'], /no-store/);
  });

  await t.test('the callback seals the session and goes to returnUrl', async () => {
    const { hops } = await passSignIn(browser, op);
    const callback = hops.find(({ url }) => new URL(url).pathname === '/bff/callback');
    assert.equal(callback.status, 303);
    assert.equal(new URL(callback.headers.location, origin).href, `${origin}/orders?x=1`);
    assert.match(callback.headers['cache-control'], /no-store/);
    assert.ok(setKinds(callback).includes('session') && setKinds(callback).includes('hint'), callback.setCookies.length);
    assert.ok(setKinds(callback, true).includes('login'), 'the login cookie is spent');
    assert.equal(browser.url.href, `${origin}/orders?x=1`);
    assert.equal(op.tokenCalls().length, 1);
    assert.equal(Boolean(jwtPart(op.newest().access_token, 1)), accessTokens === 'jwt');
  });

  await t.test('the frontend learns who is signed in, and until when', async () => {
    const answer = await get('/bff/user');
    assert.equal(answer.status, 200);
    assert.match(answer.headers['cache-control'], /no-store/);
    const claims = Object.fromEntries(JSON.parse(answer.body).map(({ type, value }) => [type, value]));
    assert.deepEqual([claims.sub, claims.name, claims.email], ['ada', ACCOUNT.name, ACCOUNT.email]);
    assert.match(claims['bff:logout_url'], /\/bff\/logout\?sid=[^&]+/);
    assert.ok(claims['bff:session_expires_in'] > 0, JSON.stringify(claims));
    const [before, now, after] = [Date.now() / 1000, await session(), Date.now() / 1000];
    assert.equal(now.active, true);
    assert.equal(now.refresh_possible, true);
    assert.deepEqual([now.claims.sub, now.claims.name], ['ada', ACCOUNT.name]);
    assert.ok(before - 1 <= now.server_now && now.server_now <= after + 1, `${before} ${now.server_now} ${after}`);
    assert.ok(now.session_ends_at > now.server_now && now.idle_ends_at > now.server_now);
    assert.ok(held().includes('session') && !held().includes('login'), held());
  });

  await t.test('the API gets the access token, and the browser only the answer', async () => {
    const answer = await get('/api/echo/7?x=1');
    assert.equal(answer.status, 200, answer.body);
    assert.equal(answer.headers['x-echo'], 'yes');
    assert.deepEqual([api.last().method, api.last().url], ['GET', '/v1/7?x=1']);
    assert.equal(api.last().token, op.newest().access_token);
    assert.equal(api.last().headers.cookie, undefined, 'no cookie goes upstream');
    assert.equal(JSON.parse(answer.body).token, fingerprint(op.newest().access_token));
    assert.ok(!setKinds(answer).includes('session'), 'tokens did not change, so neither does the session cookie');
    const posted = await browser.fetch('/api/echo', {
      method: 'POST', body: 'hello', headers: { ...CSRF, authorization: 'Bearer of-my-own' },
    });
    assert.deepEqual([posted.status, api.last().method, api.last().body], [200, 'POST', 'hello']);
    assert.equal(api.last().token, op.newest().access_token, 'what a client sends as Authorization does not go through');
  });

  await t.test('a request that might be forged reaches nothing', async () => {
    const before = api.received.length;
    const evil = new URL(`http://127.0.0.1:${new URL(api.url).port}/`);
    for (const [why, options] of [
      ['unsafe method without the header', { method: 'POST', body: 'x' }],
      ['another site', { page: evil, mode: 'no-cors' }],
      ['another site, with the header', { page: evil, headers: CSRF }],
      ['foreign Origin', { method: 'POST', headers: { ...CSRF, origin: evil.origin } }],
      ['same site, another origin', { headers: { ...CSRF, 'sec-fetch-site': 'same-site' } }],
    ]) {
      const answer = await browser.fetch(`${origin}/api/echo`, options);
      assert.equal(answer.status, 403, why);
      assert.equal(JSON.parse(answer.body).code, 'cross-site-request', why);
    }
    const logout = await browser.fetch('/bff/logout', { method: 'POST' });
    assert.equal(logout.status, 403, 'logout without the header');
    assert.equal((await browser.click('/bff/logout?sid=wrong')).status, 400, 'logout with a wrong sid');
    assert.equal(api.received.length, before, 'the API was not asked');
    assert.equal((await session()).active, true);
  });

  await t.test('an expired access token is refreshed on the way, once', async () => {
    await waitForExpiry();
    const first = op.newest();
    assert.equal(await op.accessTokenLives(first.access_token), false);
    const answer = await get('/api/echo');
    assert.equal(answer.status, 200, answer.body);
    assert.deepEqual(refreshes(op), [{ token: first.refresh_token, status: 200, error: undefined }]);
    assert.notEqual(op.newest().access_token, first.access_token);
    assert.notEqual(op.newest().refresh_token, first.refresh_token, 'the provider rotates');
    assert.equal(api.last().token, op.newest().access_token);
    assert.ok(setKinds(answer).includes('session'));
    const next = await get('/api/echo');
    assert.deepEqual([next.status, refreshes(op).length], [200, 1]);
    assert.ok(!setKinds(next).includes('session'));
  });

  await t.test('parallel requests at expiry cause one token call; a late one with the old cookie none', async () => {
    await waitForExpiry();
    const second = op.newest();
    const late = new Browser({ ca: scene.certificate?.pem, jar: browser.jar.copy() });
    op.tokenDelay = 300;
    const before = api.received.length;
    const answers = await Promise.all(Array.from({ length: PARALLEL }, (_, i) => get(`/api/echo/${i}`)));
    op.tokenDelay = 0;
    assert.deepEqual(answers.map(({ status }) => status), Array(PARALLEL).fill(200));
    assert.deepEqual(refreshes(op).slice(1), [{ token: second.refresh_token, status: 200, error: undefined }]);
    const tokens = api.received.slice(before).map(({ token }) => token);
    assert.deepEqual(tokens, Array(PARALLEL).fill(op.newest().access_token));

    const afterwards = await late.fetch(`${origin}/api/echo`, { headers: CSRF, page: new URL(origin) });
    late.close();
    browser.answers.push(...late.answers);
    assert.deepEqual([afterwards.status, refreshes(op).length], [200, 2]);
    assert.equal(api.last().token, op.newest().access_token);
    assert.ok(setKinds(afterwards).includes('session'), 'the late one gets the new session too');
    assert.deepEqual(late.jar.refused, []);
  });

  await t.test('logout: revoked at once, then signed out at the provider, then back at returnUrl', async () => {
    const { refresh_token: token } = op.newest();
    assert.ok(await op.refreshTokenLives(token));
    const answer = await browser.fetch('/bff/logout', { method: 'POST', headers: CSRF });
    assert.equal(answer.status, 200, answer.body);
    assert.match(answer.headers['cache-control'], /no-store/);
    assert.ok(setKinds(answer, true).includes('session'));
    assert.deepEqual(held().filter((kind) => kind !== 'out'), ['hint'], 'only what RP-initiated logout needs is left');
    assert.equal(await op.refreshTokenLives(token), false, 'revoked');
    const revoked = op.calls.filter(({ route }) => route === 'revocation').map(({ params }) => params.token);
    assert.ok(revoked.includes(token));
    await assertAnonymous();

    const { logout_url: url } = JSON.parse(answer.body);
    assert.equal(new URL(url, origin).origin + new URL(url, origin).pathname, `${origin}/bff/logout`);
    assert.match(url, /\?sid=[^&]+/);
    const { hops: [out] } = await browser.click(`${url}&returnUrl=%2Fbye`);
    assert.equal(out.status, 302);
    const to = new URL(out.headers.location);
    assert.equal(to.origin + to.pathname, `${op.issuer}/session/end`);
    const params = Object.fromEntries(to.searchParams);
    const minted = op.tokenCalls().map((call) => call.answer.id_token);
    assert.ok(minted.includes(params.id_token_hint), 'the hint is an ID token of this session');
    assert.deepEqual([params.client_id, params.post_logout_redirect_uri], ['shop', `${origin}/bff/logged-out`]);
    assert.ok(params.state);
    assert.deepEqual(held().filter((kind) => kind !== 'out'), []);

    const { hops } = await passSignOut(browser, op);
    const back = hops.find((hop) => new URL(hop.url).pathname === '/bff/logged-out');
    assert.equal(back.status, 303);
    assert.equal(browser.url.href, `${origin}/bye`);
    await assertAnonymous();
  });

  await t.test('logging in again works at once, and logout by navigation alone ends it all the same', async () => {
    await browser.click('/bff/login');
    assert.match(browser.page, /value="login"/, 'the provider had signed the user out');
    await passSignIn(browser, op);
    assert.equal(browser.url.href, `${origin}/`, 'without returnUrl');
    assert.equal((await get('/api/echo')).status, 200);
    const { refresh_token: token } = op.newest();
    const user = JSON.parse((await get('/bff/user')).body);
    await browser.click(user.find(({ type }) => type === 'bff:logout_url').value);
    assert.equal(browser.url.origin, op.issuer);
    assert.equal(await op.refreshTokenLives(token), false, 'revoked before the provider is asked');
    await passSignOut(browser, op);
    assert.equal(browser.url.href, `${origin}/`);
    assert.deepEqual(held().filter((kind) => kind !== 'out'), []);
    await assertAnonymous();
  });

  await t.test('no refresh token was used twice', () => {
    const used = refreshes(op);
    assert.equal(new Set(used.map(({ token }) => token)).size, used.length);
    assert.deepEqual(used.filter(({ status }) => status !== 200), []);
  });
  await t.test('sealgate ends cleanly, and nothing leaked', async () => {
    assert.deepEqual(browser.jar.refused, [], 'cookies that a browser would refuse');
    await assertNothingLeaked(scene, browser.answers);
    await assertCleanEnd(scene);
  });
}

test('without rotation the old refresh token serves again', async (t) => {
  const scene = await setScene(t, { tls: true, provider: { rotation: () => POLICIES.reuse } });
  const { origin, op, browser } = scene;
  await browser.open(`${origin}/bff/login`);
  await passSignIn(browser, op);
  const { refresh_token: token } = op.newest();
  for (const round of [1, 2]) {
    // The API refuses it, so sealgate gets another one.
    await op.endAccessToken(op.newest().access_token);
    assert.equal((await browser.fetch('/api/echo', { headers: CSRF })).status, 200);
    assert.deepEqual(refreshes(op), Array(round).fill({ token, status: 200, error: undefined }));
  }
  assert.deepEqual(browser.jar.refused, []);
  await assertNothingLeaked(scene, browser.answers);
  await assertCleanEnd(scene);
});
