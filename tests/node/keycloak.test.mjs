// The story at Keycloak: its own login pages, refreshes, roles, logouts, exchanges, restarts and keys.
//
// One Keycloak serves all forms, a realm for each. The app is on `localhost`, Keycloak on `127.0.0.1`: two sites.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { startApi } from './lib/api.mjs';
import { startBoundApi } from './lib/bound-api.mjs';
import { Browser } from './lib/browser.mjs';
import { leaks, logLines, received } from './lib/canary.mjs';
import { openProfile, startChromium } from './lib/chromium.mjs';
import { Jar } from './lib/jar.mjs';
import { startKeycloak } from './lib/keycloak.mjs';
import { jwtPart, newClientKey } from './lib/op.mjs';
import { freePorts } from './lib/ports.mjs';
import { client, realm } from './lib/realm.mjs';
import { startRedis } from './lib/redis.mjs';
import { metricsOf, scratch, startSealgate, sweep, tail, total } from './lib/sealgate.mjs';
import { makeCertificate } from './lib/tls.mjs';
import { eventually } from './lib/waiting.mjs';

/** Short, so that a refresh is never far; sealgate refreshes at the earliest a fifth of it ahead. */
const TOKEN_SECONDS = 6;
const CSRF = { 'x-csrf': '1' };
const SPA = fileURLToPath(new URL('spa', import.meta.url));

const ROUTES = `
[frontend.shop.claim.roles]
from = "access_token"
path = "/realm_access/roles"

[frontend.shop.route.buyers]
path           = "/api/buyers"
upstream       = "echo"
token          = "user"
require_claims = { roles = ["buyer"] }
`;

const EXCHANGE = `
[frontend.shop.route.orders]
path     = "/api/orders"
upstream = "echo"
token    = "user"
exchange = { audience = "orders-api" }
`;

/** A client that authenticates with a key, which Keycloak fetches, and must push its requests. */
const withKey = (attributes) => ({ origin }) => ({
  clientAuthenticatorType: 'client-jwt',
  attributes: {
    'token.endpoint.auth.signing.alg': 'ES256',
    'use.jwks.url': 'true',
    'jwks.url': `${origin}/bff/jwks`,
    'require.pushed.authorization.requests': 'true',
    ...attributes,
  },
});
const BOUND = { 'dpop.bound.access.tokens': 'true' };

/** One sealgate in front of one client of one realm. */
const FORMS = {
  plain: { tables: ROUTES },
  strict: { realm: { revokeRefreshToken: true, refreshTokenMaxReuse: 0 }, tables: ROUTES },
  key: {
    client: withKey(),
    oidc: { par: 'always' },
    hasKey: true,
    tables: ROUTES,
  },
  exchange: { client: { attributes: { 'standard.token.exchange.enabled': 'true' } }, tables: ROUTES + EXCHANGE },
  dpop: { client: { attributes: BOUND }, oidc: { dpop: 'always' }, isBound: true, tables: ROUTES },
  fapi2: {
    realm: {
      clientPolicies: {
        policies: [{
          name: 'everybody', enabled: true, profiles: ['fapi-2-dpop-security-profile'],
          conditions: [{ condition: 'any-client', configuration: {} }],
        }],
      },
    },
    client: withKey({ ...BOUND, 'id.token.signed.response.alg': 'ES256', 'access.token.signed.response.alg': 'ES256' }),
    oidc: { profile: 'fapi2' },
    isBound: true,
    hasKey: true,
    // The profile refuses a redirect URI without TLS.
    tls: true,
    tables: ROUTES,
  },
};

test('Keycloak', { timeout: 2_400_000 }, async (t) => {
  const ports = await freePorts(2 * Object.keys(FORMS).length);
  const forms = Object.entries(FORMS).map(([name, form], i) => ({
    name, ...form, port: ports[2 * i], adminPort: ports[2 * i + 1],
    origin: `${form.tls ? 'https' : 'http'}://localhost:${ports[2 * i]}`,
  }));
  const dir = await scratch();
  t.after(() => sweep(dir));
  const certificate = makeCertificate(dir);
  const keycloak = await startKeycloak(t, forms.map(({ name, origin, realm: more, client: settings }) => realm(name, {
    clients: [client('shop', { origin, ...(typeof settings === 'function' ? settings({ origin }) : settings) })], accessTokenLifespan: TOKEN_SECONDS, ...more,
  })), { trusted: certificate.cert });
  const scenes = {};
  for (const form of forms) scenes[form.name] = await setScene(t, keycloak, { ...form, certificate: form.tls && certificate });

  /** Steps use the same Keycloak, each with users of its own. */
  const step = (name, run) => t.test(name, { timeout: 1_200_000 }, run);

  await step('signs in on its own pages, and the API gets its token', async () => {
    const { signIn, call, api } = scenes.plain;
    const browser = await signIn('alice');
    assert.equal((await call(browser, '/api/echo/x')).status, 200);
    const claims = jwtPart(api.last().token, 1);
    assert.equal(claims.iss, `${keycloak.origin}/realms/plain`);
    assert.equal(claims.preferred_username, 'alice');
    const { active, claims: shown } = await session(browser);
    assert.equal(active, true);
    assert.equal(shown.email, 'alice@example.org');
    assert.ok(shown.roles.includes('buyer'), 'nested, from the access token');
  });

  await step('refreshes when its token has ended', async () => {
    const { signIn, call, api } = scenes.plain;
    const browser = await signIn('alice');
    await call(browser, '/api/echo/x');
    const first = api.last().token;
    await ended();
    assert.equal((await call(browser, '/api/echo/x')).status, 200);
    assert.notEqual(api.last().token, first);
    assert.equal((await session(browser)).refresh_possible, true);
  });

  await step('a role that is taken away counts after the next refresh', async () => {
    const { signIn, call } = scenes.plain;
    const browser = await signIn('bob');
    assert.equal((await call(browser, '/api/buyers/x')).status, 200);
    const id = await keycloak.user('plain', 'bob');
    const buyer = await keycloak.admin('plain', 'GET', '/roles/buyer');
    await keycloak.admin('plain', 'DELETE', `/users/${id}/role-mappings/realm`, [buyer]);
    await ended();
    const refused = await call(browser, '/api/buyers/x');
    assert.deepEqual([refused.status, JSON.parse(refused.body).code], [403, 'forbidden']);
    assert.equal((await call(browser, '/api/echo/x')).status, 200, 'the session goes on');
  });

  await step('an administrator ends a session, and sealgate is told', async () => {
    const { signIn, call } = scenes.plain;
    const browser = await signIn('carol');
    const other = await signIn('alice');
    assert.equal((await call(browser, '/api/echo/x')).status, 200);
    await keycloak.admin('plain', 'POST', `/users/${await keycloak.user('plain', 'carol')}/logout`);
    // Long before its access token ends.
    await eventually('the session is over', async () => (await call(browser, '/api/echo/x')).status === 401);
    assert.equal((await call(other, '/api/echo/x')).status, 200, 'another user\'s session goes on');
    const samples = await metricsOf(scenes.plain.sealgate);
    assert.equal(total(samples, 'sealgate_coordination_backchannel_total', { result: 'ok' }) >= 1, true, JSON.stringify(
      samples.filter(({ name }) => name.includes('backchannel'))));
  });

  await step('a user who is disabled is out at the next refresh', async () => {
    const { signIn, call } = scenes.plain;
    const browser = await signIn('dave');
    const id = await keycloak.user('plain', 'dave');
    await keycloak.admin('plain', 'PUT', `/users/${id}`, { enabled: false });
    await ended();
    const over = await call(browser, '/api/echo/x');
    assert.deepEqual([over.status, JSON.parse(over.body).code], [401, 'login-required']);
  });

  await step('signs out here and there', async () => {
    const { signIn, call, origin } = scenes.plain;
    const browser = await signIn('alice');
    const user = JSON.parse((await browser.fetch('/bff/user', { headers: CSRF })).body);
    const { value: logout } = user.find(({ type }) => type === 'bff:logout_url');
    const back = await browser.click(`${logout}&returnUrl=/?bye`);
    assert.equal(back.url, `${origin}/?bye`, back.body);
    assert.ok(back.hops.some(({ url }) => url.startsWith(`${keycloak.origin}/realms/plain/protocol/openid-connect/logout`)));
    assert.equal((await call(browser, '/api/echo/x')).status, 401);
    await browser.open(`${origin}/bff/login`);
    assert.match(browser.page, /name="password"/, 'Keycloak asks again');
  });

  await step('new keys of the realm: a login and a session go on', async () => {
    const { signIn, call } = scenes.plain;
    const before = await signIn('alice');
    const [{ id: parentId }] = [await keycloak.admin('plain', 'GET', '')];
    await keycloak.admin('plain', 'POST', '/components', {
      name: 'newer', providerId: 'rsa-generated', providerType: 'org.keycloak.keys.KeyProvider', parentId, config: { priority: ['200'] },
    });
    const after = await signIn('alice');
    await ended();
    for (const browser of [before, after]) assert.equal((await call(browser, '/api/echo/x')).status, 200);
  });

  await step('strict rotation: many requests at an expiry, one refresh', async () => {
    const { signIn, call, sealgate } = scenes.strict;
    const browser = await signIn('alice');
    for (let round = 0; round < 2; round += 1) {
      await ended();
      const before = total(await metricsOf(sealgate), 'sealgate_refresh_total', { result: 'ok' });
      const answers = await Promise.all(Array.from({ length: 8 }, () => call(browser, '/api/echo/x')));
      assert.deepEqual(answers.map(({ status }) => status), Array(8).fill(200));
      const after = total(await metricsOf(sealgate), 'sealgate_refresh_total', { result: 'ok' });
      assert.equal(after - before, 1);
    }
  });

  await step('pushes its requests, and authenticates with a key that Keycloak fetches', async () => {
    const { signIn, call, browsers } = scenes.key;
    const browser = await signIn('alice');
    const asked = browsers.at(-1).answers.map(({ url }) => new URL(url)).find(({ pathname }) => pathname.endsWith('/auth'));
    assert.deepEqual([...asked.searchParams.keys()].sort(), ['client_id', 'request_uri']);
    for (let round = 0; round < 2; round += 1) {
      const answer = await call(browser, '/api/buyers/x');
      assert.equal(answer.status, 200, answer.body);
      await ended();
    }
    const user = JSON.parse((await browser.fetch('/bff/user', { headers: CSRF })).body);
    const back = await browser.click(`${user.find(({ type }) => type === 'bff:logout_url').value}&returnUrl=/?bye`);
    assert.match(back.url, /\/\?bye$/, back.body);
  });

  await step('exchanges the token for one that is good for one API', async () => {
    const { signIn, call, api, sealgate } = scenes.exchange;
    const browser = await signIn('alice');
    assert.equal((await call(browser, '/api/echo/x')).status, 200);
    const own = jwtPart(api.last().token, 1);
    for (let i = 0; i < 3; i += 1) assert.equal((await call(browser, '/api/orders/x')).status, 200, tail(sealgate.output));
    const exchanged = jwtPart(api.last().token, 1);
    assert.deepEqual([exchanged.aud, exchanged.azp], ['orders-api', 'shop']);
    assert.equal(exchanged.sub, own.sub);
    const samples = await metricsOf(sealgate);
    assert.equal(total(samples, 'sealgate_exchange_total', { result: 'ok' }), 1, 'once');
    await ended();
    assert.equal((await call(browser, '/api/orders/x')).status, 200, 'and again after a refresh');
    assert.equal(total(await metricsOf(sealgate), 'sealgate_exchange_total', { result: 'ok' }), 2);
  });

  for (const [name, idAlg] of [['dpop', 'RS256'], ['fapi2', 'ES256']]) {
    await step(`binds tokens to a key: ${name}`, async () => {
      const { signIn, call, api, browsers } = scenes[name];
      const browser = await signIn('alice');
      assert.equal((await call(browser, '/api/buyers/x')).status, 200);
      const first = api.received.at(-1);
      const { keys } = JSON.parse((await browser.fetch('/bff/jwks')).body);
      assert.equal(first.jkt, keys.at(-1).kid);
      assert.equal(jwtPart(first.token, 1).cnf.jkt, first.jkt);
      const asked = browsers.at(-1).answers.map(({ url }) => new URL(url)).find(({ pathname }) => pathname.endsWith('/auth'));
      assert.ok(asked.searchParams.has('request_uri'), asked.href);
      // The API takes the token no more: it is refreshed, and Keycloak binds the new one as well.
      api.refused.add(first.token);
      assert.equal((await call(browser, '/api/buyers/x')).status, 200);
      const second = api.received.at(-1);
      assert.notEqual(second.token, first.token);
      assert.deepEqual([second.jkt, second.refusal], [first.jkt, undefined]);
      const user = JSON.parse((await browser.fetch('/bff/user', { headers: CSRF })).body);
      const back = await browser.click(`${user.find(({ type }) => type === 'bff:logout_url').value}&returnUrl=/?bye`);
      assert.match(back.url, /\/\?bye$/, back.body);
      const hint = back.hops.map(({ url }) => new URL(url).searchParams.get('id_token_hint')).find(Boolean);
      assert.equal(jwtPart(hint, 0).alg, idAlg);
      assert.equal((await call(browser, '/api/buyers/x')).status, 401);
    });
  }

  for (const name of Object.keys(FORMS)) await step(`a person in Chromium: ${name}`, async (t) => {
    const { origin } = scenes[name];
    const { context } = await openProfile(await startChromium(t));
    const page = await context.newPage();
    await page.goto(`${origin}/bff/login`);
    await page.fill('input[name=username]', 'alice');
    await page.fill('input[name=password]', 'alice-pw');
    await page.click('#kc-login');
    await page.waitForSelector('body[data-ready=yes]');
    const [status, claims] = await page.evaluate(async () => {
      const answer = await fetch('/api/echo/x', { headers: { 'X-CSRF': '1' } });
      const user = await fetch('/bff/user', { headers: { 'X-CSRF': '1' } });
      return [answer.status, await user.json()];
    });
    assert.equal(status, 200);
    assert.equal(claims.find(({ type }) => type === 'email').value, 'alice@example.org');
    assert.equal(await page.evaluate(() => document.cookie), '');
    await page.goto(`${origin}${claims.find(({ type }) => type === 'bff:logout_url').value}&returnUrl=/?bye`);
    await page.waitForURL(`${origin}/?bye`);
    await page.goto(`${origin}/bff/login`);
    await page.waitForSelector('input[name=password]');
  });

  await step('is started again, and sessions go on', async () => {
    const { signIn, call } = scenes.plain;
    const browser = await signIn('alice');
    await ended();
    await keycloak.stop();
    const dark = await call(browser, '/api/echo/x');
    assert.deepEqual([dark.status, JSON.parse(dark.body).code], [503, 'identity-provider-unavailable']);
    assert.deepEqual(dark.setCookies, [], 'cookies are kept');
    await keycloak.start();
    await eventually('the session goes on', async () => (await call(browser, '/api/echo/x')).status === 200);
    assert.equal((await call(await signIn('alice'), '/api/echo/x')).status, 200);
  });

  await step('nothing that it issued reached a browser or a log', async () => {
    for (const [name, { browsers, api, sealgate, origin }] of Object.entries(scenes)) {
      const secrets = api.received.map(({ token }) => token).filter(Boolean).map((value) => ({ what: 'an access token', value }));
      assert.ok(secrets.length > 1, `${name}: there is something to search for`);
      const answers = browsers.flatMap((browser) => browser.answers);
      const endSession = `${keycloak.origin}/realms/${name}/protocol/openid-connect/logout`;
      assert.deepEqual(leaks(received(answers, origin, endSession), secrets), []);
      assert.deepEqual(leaks(logLines(sealgate.output), [...secrets, { what: 'the client secret', value: 'shop-secret-of-the-story' }]), []);
      assert.deepEqual(await sealgate.stop(), { code: 0, signal: null }, tail(sealgate.output));
      assert.doesNotMatch(sealgate.output, /panicked at/);
    }
  });
});

const ended = () => sleep((TOKEN_SECONDS + 1) * 1000);

async function session(browser) {
  return JSON.parse((await browser.fetch('/bff/session', { headers: CSRF })).body);
}

/** A store, an API and a sealgate; all end with the test. */
async function setScene(t, keycloak, { name, origin, port, adminPort, tables, oidc = {}, hasKey = false, isBound = false, certificate }) {
  const dir = await scratch();
  t.after(() => sweep(dir));
  const store = await startRedis({ dir });
  t.after(() => store.stop());
  await writeFile(join(dir, 'store-url'), store.url, { mode: 0o600 });
  const clientKey = hasKey ? newClientKey() : undefined;
  const op = { clientKey, issuer: `${keycloak.origin}/realms/${name}`, clientId: 'shop', clientSecret: 'shop-secret-of-the-story' };
  const api = await (isBound ? startBoundApi({ op, jwks: `${op.issuer}/protocol/openid-connect/certs`, audience: 'orders-api' }) : startApi());
  t.after(() => api.stop());
  const coordination = `
[coordination]
url    = { file = ${JSON.stringify(join(dir, 'store-url'))} }
prefix = "stories"
`;
  const sealgate = await startSealgate({
    dir, origin, port, adminPort, op, api, tls: certificate, assets: SPA, tables: tables + coordination,
    oidc: { scopes: ['openid', 'profile', 'email'], ...oidc },
    session: { claims: ['sub', 'name', 'email', 'sid', 'roles'] },
  });
  t.after(() => sealgate.stop());
  const browsers = [];
  return {
    origin,
    api,
    sealgate,
    browsers,
    call: (browser, path) => browser.fetch(path, { headers: CSRF, page: new URL(origin) }),
    /** A browser in which a user is signed in. */
    signIn: async (user) => {
      // Keycloak's cookies are `Secure`, and browsers take them from loopback all the same.
      const browser = new Browser({ jar: new Jar({ trusts: ['127.0.0.1'] }), ca: certificate?.pem });
      t.after(() => browser.close());
      browsers.push(browser);
      await browser.open(`${origin}/bff/login?returnUrl=/bff/session`);
      assert.match(browser.page, /kc-form-login/, `${browser.url}\n${browser.page}\n${tail(sealgate.output)}`);
      const back = await browser.submit({ username: user, password: `${user}-pw` });
      assert.equal(new URL(back.url).origin, origin, `${back.url}\n${back.body}`);
      assert.equal((await session(browser)).active, true, `${back.status} ${back.body}\n${tail(sealgate.output)}`);
      return browser;
    },
  };
}
