// Scenes at Keycloak: one Keycloak serves all of them, a realm for each. The app is on `localhost`, Keycloak on `127.0.0.1`: two
// sites.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { startApi } from './api.mjs';
import { Browser } from './browser.mjs';
import { leaks, logLines, received } from './canary.mjs';
import { openProfile, startChromium } from './chromium.mjs';
import { Jar } from './jar.mjs';
import { startKeycloak } from './keycloak.mjs';
import { newClientKey } from './op.mjs';
import { freePorts } from './ports.mjs';
import { client, realm } from './realm.mjs';
import { startRedis } from './redis.mjs';
import { scratch, startSealgate, sweep, tail } from './sealgate.mjs';
import { makeCertificate } from './tls.mjs';

/** Short, so that a refresh is never far; sealgate refreshes at the earliest a fifth of it ahead. */
export const TOKEN_SECONDS = 6;
const CSRF = { 'x-csrf': '1' };
const SPA = fileURLToPath(new URL('../spa', import.meta.url));
const SECRET = 'shop-secret-of-the-story';
/** The subject of the certificate that clients show. */
export const CLIENT_NAME = 'client of the story';

/** What the forms have in common: roles from the access token, and a route for who has one. */
export const ROUTES = `
[frontend.shop.claim.roles]
from = "access_token"
path = "/realm_access/roles"

[frontend.shop.route.buyers]
path           = "/api/buyers"
upstream       = "echo"
token          = "user"
require_claims = { roles = ["buyer"] }
`;

/**
 * Starts Keycloak, and for each form a sealgate in front of a client of a realm of its own. All end with the test `t`.
 *
 * @param {Record<string, object>} forms `tables`: more of the configuration; `oidc`: more keys of that table; `realm`: more of the
 *   realm; `client`: what the client's registration has for an app at `origin`; `hasKey`: the client has a key; `tls`: sealgate
 *   speaks TLS; `hasCertificate`: the client shows a certificate, and Keycloak speaks TLS; `makeApi`: starts another API
 */
export async function setScenes(t, forms) {
  const dir = await scratch();
  t.after(() => sweep(dir));
  const named = Object.entries(forms).map(([name, form]) => ({ name, ...form }));
  const ports = await freePorts(2 * named.length);
  for (const [i, form] of named.entries()) {
    Object.assign(form, { port: ports[2 * i], adminPort: ports[2 * i + 1] });
    form.origin = `${form.tls ? 'https' : 'http'}://localhost:${form.port}`;
  }
  const certificates = {
    app: makeCertificate(dir),
    // An authority's certificate is refused as a server's.
    keycloak: makeCertificate(dir, { name: 'keycloak', isAuthority: false }),
    client: makeCertificate(dir, { name: 'client', commonName: CLIENT_NAME }),
  };
  const keycloak = await startKeycloak(t, (secure) => named.map(({ name, origin, hasCertificate, realm: more, client: settings }) => realm(name, {
    clients: [client('shop', { origin, ...settings?.({ origin }) })],
    accessTokenLifespan: TOKEN_SECONDS,
    ...(hasCertificate ? { attributes: { frontendUrl: secure } } : {}),
    ...more,
  })), {
    trusted: [certificates.app.cert, certificates.client.cert],
    tls: named.some(({ hasCertificate }) => hasCertificate) ? certificates.keycloak : undefined,
  });
  const scenes = {};
  for (const form of named) scenes[form.name] = await setScene(t, keycloak, certificates, form);
  return { keycloak, scenes };
}

/** A store, an API and a sealgate. */
async function setScene(t, keycloak, certificates, form) {
  const { name, origin, port, adminPort, tables = ROUTES, oidc = {}, hasKey = false, hasCertificate = false, makeApi = startApi } = form;
  const dir = await scratch();
  t.after(() => sweep(dir));
  const store = await startRedis({ dir });
  t.after(() => store.stop());
  const op = {
    clientKey: hasKey ? newClientKey() : undefined,
    issuer: `${hasCertificate ? keycloak.secure : keycloak.origin}/realms/${name}`,
    clientId: 'shop',
    clientSecret: hasCertificate ? undefined : SECRET,
  };
  // Its keys are the same without TLS.
  const api = await makeApi({
    op, jwks: `${keycloak.origin}/realms/${name}/protocol/openid-connect/certs`, audience: 'orders-api', certificate: certificates.client,
  });
  t.after(() => api.stop());
  const { cert, key } = certificates.client;
  const sealgate = await startSealgate({
    dir, origin, port, adminPort, op, api, tls: form.tls && certificates.app, assets: SPA, tables: tables + store.table('prefix = "stories"'),
    trusted: hasCertificate ? certificates.keycloak.cert : undefined,
    oidc: { scopes: ['openid', 'profile', 'email'], ...(hasCertificate ? { client_cert: { cert, key } } : {}), ...oidc },
    session: { claims: ['sub', 'name', 'email', 'sid', 'roles'] },
  });
  t.after(() => sealgate.stop());
  const browsers = [];
  return {
    origin,
    issuer: op.issuer,
    api,
    sealgate,
    browsers,
    call: (browser, path) => browser.fetch(path, { headers: CSRF, page: new URL(origin) }),
    /** A browser in which a user is signed in. */
    signIn: async (user) => {
      // Keycloak's cookies are `Secure`, and browsers take them from loopback all the same.
      const browser = new Browser({ jar: new Jar({ trusts: ['127.0.0.1'] }), ca: [certificates.app.pem, certificates.keycloak.pem] });
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

/** What sealgate says of a browser's session. */
export async function session(browser) {
  return JSON.parse((await browser.fetch('/bff/session', { headers: CSRF })).body);
}

/** Signs out here and there; gives the last answer. */
export async function signOut(browser) {
  const user = JSON.parse((await browser.fetch('/bff/user', { headers: CSRF })).body);
  const back = await browser.click(`${user.find(({ type }) => type === 'bff:logout_url').value}&returnUrl=/?bye`);
  assert.match(back.url, /\/\?bye$/, back.body);
  return back;
}

/** A person with Chromium signs in on Keycloak's own page, uses the app, and signs out. */
export async function visit(t, { origin }) {
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
}

/** No token reached a browser or a log; sealgate ends in peace. */
export async function assertCleanEnd(scenes) {
  for (const [name, { browsers, api, sealgate, origin, issuer }] of Object.entries(scenes)) {
    const secrets = api.received.map(({ token }) => token).filter(Boolean).map((value) => ({ what: 'an access token', value }));
    assert.ok(secrets.length > 1, `${name}: there is something to search for`);
    const answers = browsers.flatMap((browser) => browser.answers);
    assert.deepEqual(leaks(received(answers, origin, `${issuer}/protocol/openid-connect/logout`), secrets), []);
    assert.deepEqual(leaks(logLines(sealgate.output), [...secrets, { what: 'the client secret', value: SECRET }]), []);
    assert.deepEqual(await sealgate.stop(), { code: 0, signal: null }, tail(sealgate.output));
    assert.doesNotMatch(sealgate.output, /panicked at/);
  }
}
