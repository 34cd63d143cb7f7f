// Keycloak in its other forms: strict rotation, a key, a certificate, bound tokens, its FAPI 2.0 profiles, token exchange; roles that
// are taken away, new keys, a restart. `keycloak.test.mjs` has the story of the form that it comes in.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startBoundApi } from './lib/bound-api.mjs';
import { startCertificateApi } from './lib/certificate-api.mjs';
import { assertCleanEnd, CLIENT_NAME, ROUTES, setScenes, signOut, visit } from './lib/keycloak-scene.mjs';
import { jwtPart } from './lib/op.mjs';
import { awaitTokenEnd } from './lib/person.mjs';
import { metricsOf, tail, total } from './lib/sealgate.mjs';
import { eventually } from './lib/waiting.mjs';

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
/** The algorithms that a profile of FAPI 2.0 asks for. */
const ES256 = { 'id.token.signed.response.alg': 'ES256', 'access.token.signed.response.alg': 'ES256' };

/** A client that shows a certificate, by whose subject Keycloak knows it; its tokens are bound to it. */
const withCertificate = () => ({
  clientAuthenticatorType: 'client-x509',
  attributes: {
    'x509.subjectdn': `CN=${CLIENT_NAME}`,
    'x509.allow.regex.pattern.comparison': 'false',
    'tls.client.certificate.bound.access.tokens': 'true',
    'require.pushed.authorization.requests': 'true',
    ...ES256,
  },
});

/** A realm in which one of Keycloak's own profiles holds for every client. */
const enforcing = (profile) => ({
  clientPolicies: {
    policies: [{ name: 'everybody', enabled: true, profiles: [profile], conditions: [{ condition: 'any-client', configuration: {} }] }],
  },
});

/** One sealgate in front of one client of one realm. The profiles refuse redirect URIs without TLS. */
const FORMS = {
  plain: {},
  strict: { realm: { revokeRefreshToken: true, refreshTokenMaxReuse: 0 } },
  key: { client: withKey(), oidc: { par: 'always' }, hasKey: true },
  exchange: { client: () => ({ attributes: { 'standard.token.exchange.enabled': 'true' } }), tables: ROUTES + EXCHANGE },
  dpop: { client: () => ({ attributes: BOUND }), oidc: { dpop: 'always' }, makeApi: startBoundApi },
  fapi2: {
    realm: enforcing('fapi-2-dpop-security-profile'),
    client: withKey({ ...BOUND, ...ES256 }),
    oidc: { profile: 'fapi2' },
    hasKey: true,
    tls: true,
    makeApi: startBoundApi,
  },
  certificate: {
    realm: enforcing('fapi-2-security-profile'),
    client: withCertificate,
    oidc: { profile: 'fapi2', client_auth: 'tls_client_auth', dpop: 'never', userinfo: 'always' },
    hasCertificate: true,
    tls: true,
    makeApi: startCertificateApi,
  },
};

test('Keycloak in its forms', { timeout: 2_400_000 }, async (t) => {
  const { keycloak, scenes } = await setScenes(t, FORMS);

  /** Steps use the same Keycloak, each with users of its own. */
  const step = (name, run) => t.test(name, { timeout: 1_200_000 }, run);

  await step('a role that is taken away counts after the next refresh', async () => {
    const { signIn, call } = scenes.plain;
    const browser = await signIn('bob');
    assert.equal((await call(browser, '/api/buyers/x')).status, 200);
    const id = await keycloak.user('plain', 'bob');
    const buyer = await keycloak.admin('plain', 'GET', '/roles/buyer');
    await keycloak.admin('plain', 'DELETE', `/users/${id}/role-mappings/realm`, [buyer]);
    await awaitTokenEnd(browser);
    const refused = await call(browser, '/api/buyers/x');
    assert.deepEqual([refused.status, JSON.parse(refused.body).code], [403, 'forbidden']);
    assert.equal((await call(browser, '/api/echo/x')).status, 200, 'the session goes on');
  });

  await step('new keys of the realm: a login and a session go on', async () => {
    const { signIn, call } = scenes.plain;
    const before = await signIn('alice');
    const [{ id: parentId }] = [await keycloak.admin('plain', 'GET', '')];
    await keycloak.admin('plain', 'POST', '/components', {
      name: 'newer', providerId: 'rsa-generated', providerType: 'org.keycloak.keys.KeyProvider', parentId, config: { priority: ['200'] },
    });
    const after = await signIn('alice');
    for (const browser of [before, after]) {
      await awaitTokenEnd(browser);
      assert.equal((await call(browser, '/api/echo/x')).status, 200);
    }
  });

  await step('strict rotation: many requests at an expiry, one refresh', async () => {
    const { signIn, call, sealgate } = scenes.strict;
    const browser = await signIn('alice');
    for (let round = 0; round < 2; round += 1) {
      await awaitTokenEnd(browser);
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
      await awaitTokenEnd(browser);
    }
    await signOut(browser);
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
    await awaitTokenEnd(browser);
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
      const back = await signOut(browser);
      const hint = back.hops.map(({ url }) => new URL(url).searchParams.get('id_token_hint')).find(Boolean);
      assert.equal(jwtPart(hint, 0).alg, idAlg);
      assert.equal((await call(browser, '/api/buyers/x')).status, 401);
    });
  }

  await step('binds tokens to a certificate', async () => {
    const { signIn, call, api, browsers, issuer, sealgate } = scenes.certificate;
    const browser = await signIn('alice');
    const asked = browsers.at(-1).answers.map(({ url }) => new URL(url)).find(({ pathname }) => pathname.endsWith('/auth'));
    assert.deepEqual([...asked.searchParams.keys()].sort(), ['client_id', 'request_uri']);
    assert.equal((await call(browser, '/api/buyers/x')).status, 200, tail(sealgate.output));
    const { token } = api.last();
    // Keycloak takes it from who shows the certificate, which sealgate does and this browser does not. Then it answers 500.
    const bare = await browser.fetch(`${issuer}/protocol/openid-connect/userinfo`, {
      page: new URL(issuer), headers: { authorization: `Bearer ${token}` },
    });
    assert.ok(bare.status >= 400, bare.body);
    assert.ok(total(await metricsOf(sealgate), 'sealgate_provider_total', { call: 'userinfo', result: 'ok' }) >= 1);
    api.refused.add(token);
    assert.equal((await call(browser, '/api/buyers/x')).status, 200, 'the new one is bound as well');
    assert.notEqual(api.last().token, token);
    const back = await signOut(browser);
    const hint = back.hops.map(({ url }) => new URL(url).searchParams.get('id_token_hint')).find(Boolean);
    assert.equal(jwtPart(hint, 0).alg, 'ES256');
    assert.equal((await call(browser, '/api/buyers/x')).status, 401);
  });

  for (const name of Object.keys(FORMS)) await step(`a person in Chromium: ${name}`, (t) => visit(t, scenes[name]));

  await step('is started again, and sessions go on', async () => {
    const { signIn, call } = scenes.plain;
    const browser = await signIn('alice');
    await awaitTokenEnd(browser);
    await keycloak.stop();
    const dark = await call(browser, '/api/echo/x');
    assert.deepEqual([dark.status, JSON.parse(dark.body).code], [503, 'identity-provider-unavailable']);
    assert.deepEqual(dark.setCookies, [], 'cookies are kept');
    await keycloak.start();
    await eventually('the session goes on', async () => (await call(browser, '/api/echo/x')).status === 200);
    assert.equal((await call(await signIn('alice'), '/api/echo/x')).status, 200);
  });

  await step('nothing that it issued reached a browser or a log', () => assertCleanEnd(scenes));
});
