// Three replicas that share nothing but the key ring, and a refresh whose answer comes after the person has signed out
// (requirement G10).
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cookiesOf } from './lib/cookies.mjs';
import { setFleet } from './lib/fleet.mjs';
import { jwtPart } from './lib/op.mjs';
import { Page } from './lib/page.mjs';
import { awaitTokenEnd } from './lib/person.mjs';
import { POLICIES } from './lib/rotation.mjs';
import { each, eventually, HANGS_MS } from './lib/waiting.mjs';

/** By the first part of a login name. */
const UNDER_TEST = { reuse: POLICIES.reuse, leeway: POLICIES.leeway(30), strict: POLICIES.strict };
const policyOf = (login) => login.split('-')[0];

test('after logout the slowest refresh brings nothing back, on any replica', { timeout: HANGS_MS }, async (t) => {
  // G10. The refresh has been granted, its answer is under way, the person signs out.
  const fleet = await setFleet(t, { provider: { rotation: (login) => UNDER_TEST[policyOf(login)], accessTokenSeconds: 5 } });
  const { op, replicas, names, ask } = fleet;
  const cases = Object.keys(UNDER_TEST).flatMap((policy) => [['another replica', replicas[1]], ['the same replica', replicas[0]]].map(
    ([where, replica], i) => ({ policy, where, replica, page: new Page({ ...fleet, login: `${policy}-${i}` }) }),
  ));
  t.after(() => cases.forEach(({ page }) => page.close()));
  await each(cases, cases.length, async ({ page }) => {
    await page.signIn();
    await awaitTokenEnd(page.browser);
  });
  const release = op.holdTokens();
  t.after(release);
  const late = Promise.all(cases.map(({ page }) => ask(replicas[0], page.browser.jar, '/api/echo/late')));
  const refreshed = () => op.tokenCalls('refresh_token').map(({ answer }) => answer);
  await eventually('the provider has refreshed', () => refreshed().length === cases.length);
  const logouts = cases.map(({ page, replica }) => ask(replica, page.browser.jar, '/bff/logout', 'POST'));
  // Where the refresh is not known, nobody waits for it.
  await Promise.all(logouts.filter((_, i) => cases[i].replica !== replicas[0]));
  release();
  const [answers, outs] = await Promise.all([late, Promise.all(logouts)]);
  for (const [i, { policy, where, replica, page }] of cases.entries()) {
    await t.test(`${UNDER_TEST[policy].name}, logout at ${where}`, async () => {
      const { jar } = page.browser;
      assert.equal(outs[i].status, 200);
      // Where the logout is known at once, the late request may be refused; elsewhere it comes with new cookies.
      if (replica !== replicas[0]) assert.ok(cookiesOf(answers[i], names).some(({ kind, deleted }) => kind === 'session' && !deleted));
      for (const one of [...replicas, ...replicas]) {
        const next = await ask(one, jar, '/api/echo/next');
        assert.deepEqual([next.status, next.body.code], [401, 'login-required']);
        assert.deepEqual((await ask(one, jar, '/bff/session')).body, { active: false });
      }
      const brought = refreshed().find(({ id_token: token }) => jwtPart(token, 1).sub === page.login);
      assert.equal(await op.refreshTokenLives(brought.refresh_token), false, 'what it had brought is revoked');
      assert.deepEqual(jar.refused, []);
      await page.signIn();
      for (const one of replicas) assert.equal((await ask(one, jar, '/api/echo/again')).status, 200);
    });
  }
});
