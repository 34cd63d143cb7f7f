// What builds put out, served as it is: styled, deep links, login, API, silent login and logout, in Chromium, and not a complaint.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { openProfile, startChromium } from '../lib/chromium.mjs';
import { ACCOUNT } from '../lib/op.mjs';
import { assertCleanEnd, assertNothingLeaked, setScene } from '../lib/scene.mjs';
import { complaints, signIn } from './stage.mjs';

/** Where each build is, and its first heading. */
const BUILDS = {
  vite: { dist: 'vite/dist', heading: 'h1' },
};

for (const [name, { dist, heading }] of Object.entries(BUILDS)) {
  test(`the output of ${name}`, { timeout: 120_000 }, async (t) => {
    const assets = fileURLToPath(new URL(dist, import.meta.url));
    assert.ok(existsSync(assets), `${assets} is not built: run tests/node/apps/all`);
    const browser = await startChromium(t);
    const scene = await setScene(t, { assets, tls: true, provider: { accessTokens: 'jwt' } });
    const { origin } = scene;
    const { context, answers, settled } = await openProfile(browser);
    const page = await context.newPage();
    const heard = complaints(page, origin);
    const deep = `${origin}/deep/link?x=1`;

    await t.test('a deep link is there, and styled', async () => {
      await page.goto(deep);
      await page.waitForSelector(heading);
      assert.equal(await page.evaluate((heading) => getComputedStyle(document.querySelector(heading)).color, heading), 'rgb(1, 2, 3)');
      await page.reload();
      await page.waitForSelector(heading);
    });

    await t.test('login, API, logout', async () => {
      await page.evaluate(async () => { (await import('/bff/client.js')).login(); });
      await signIn(page, scene, '/deep/link?x=1');
      const claims = await page.evaluate(async () => (await import('/bff/client.js')).user());
      assert.equal(claims.find(({ type }) => type === 'name').value, ACCOUNT.name);
      assert.equal(await page.evaluate(async () => (await (await import('/bff/client.js')).api('/api/echo')).status), 200);
      await page.waitForSelector(heading);
    });

    await t.test('a silent login in a frame', async () => {
      const said = await page.evaluate(() => new Promise((resolve) => {
        addEventListener('message', ({ data }) => data.source === 'bff-silent-login' && resolve(data));
        const frame = document.createElement('iframe');
        frame.src = '/bff/silent-login';
        document.body.append(frame);
      }));
      // The provider is another site, whose cookies a frame does not get here: the frame answers, and says no.
      assert.equal(said.isLoggedIn, false);
    });

    await t.test('logout', async () => {
      await page.evaluate(async () => { (await import('/bff/client.js')).logout(); });
      await page.waitForURL((url) => url.origin !== origin || url.pathname !== '/deep/link');
      await page.goto(deep);
      assert.equal(await page.evaluate(async () => (await import('/bff/client.js')).user()), null);
    });

    await t.test('nothing has leaked, and nothing complained', async () => {
      // Whoever asks for the user where nobody is gets 401, which the console tells.
      assert.deepEqual(heard.filter((text) => !/status of 401/.test(text)), []);
      await settled();
      await context.close();
      await assertNothingLeaked(scene, answers);
    });
    await assertCleanEnd(scene);
  });
}
