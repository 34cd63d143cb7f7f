// The short story at Keycloak, as it comes: its own login page, refresh, an administrator's logout, a disabled user, sign out.
// `keycloak-forms.test.mjs` has its other forms.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertCleanEnd, session, setScenes, signOut, visit } from './lib/keycloak-scene.mjs';
import { jwtPart } from './lib/op.mjs';
import { awaitTokenEnd } from './lib/person.mjs';
import { metricsOf, total } from './lib/sealgate.mjs';
import { eventually } from './lib/waiting.mjs';

test('Keycloak', { timeout: 1_800_000 }, async (t) => {
  const { keycloak, scenes } = await setScenes(t, { plain: {} });
  const { signIn, call, api, origin, issuer, sealgate } = scenes.plain;

  await t.test('signs in on its own pages, and the API gets its token', async () => {
    const browser = await signIn('alice');
    assert.equal((await call(browser, '/api/echo/x')).status, 200);
    const claims = jwtPart(api.last().token, 1);
    assert.equal(claims.iss, issuer);
    assert.equal(claims.preferred_username, 'alice');
    const { active, claims: shown } = await session(browser);
    assert.equal(active, true);
    assert.equal(shown.email, 'alice@example.org');
    assert.ok(shown.roles.includes('buyer'), 'nested, from the access token');
  });

  await t.test('refreshes when its token has ended', async () => {
    const browser = await signIn('alice');
    await call(browser, '/api/echo/x');
    const first = api.last().token;
    await awaitTokenEnd(browser);
    assert.equal((await call(browser, '/api/echo/x')).status, 200);
    assert.notEqual(api.last().token, first);
    assert.equal((await session(browser)).refresh_possible, true);
  });

  await t.test('an administrator ends a session, and sealgate is told', async () => {
    const browser = await signIn('carol');
    const other = await signIn('alice');
    assert.equal((await call(browser, '/api/echo/x')).status, 200);
    await keycloak.admin('plain', 'POST', `/users/${await keycloak.user('plain', 'carol')}/logout`);
    await eventually('the session is over', async () => (await call(browser, '/api/echo/x')).status === 401);
    assert.equal((await call(other, '/api/echo/x')).status, 200, 'another user\'s session goes on');
    // A refresh that is refused would end it as well.
    const told = async () => total(await metricsOf(sealgate), 'sealgate_coordination_backchannel_total', { result: 'ok' });
    await eventually('Keycloak says so', async () => await told() >= 1, async () => JSON.stringify(await metricsOf(sealgate)));
  });

  await t.test('a user who is disabled is out at the next refresh', async () => {
    const browser = await signIn('dave');
    await keycloak.admin('plain', 'PUT', `/users/${await keycloak.user('plain', 'dave')}`, { enabled: false });
    await awaitTokenEnd(browser);
    const over = await call(browser, '/api/echo/x');
    assert.deepEqual([over.status, JSON.parse(over.body).code], [401, 'login-required']);
  });

  await t.test('signs out here and there', async () => {
    const browser = await signIn('alice');
    const back = await signOut(browser);
    assert.equal(back.url, `${origin}/?bye`);
    assert.ok(back.hops.some(({ url }) => url.startsWith(`${issuer}/protocol/openid-connect/logout`)));
    assert.equal((await call(browser, '/api/echo/x')).status, 401);
    await browser.open(`${origin}/bff/login`);
    assert.match(browser.page, /name="password"/, 'Keycloak asks again');
  });

  await t.test('a person in Chromium', (t) => visit(t, scenes.plain));

  await t.test('nothing that it issued reached a browser or a log', () => assertCleanEnd(scenes));
});
