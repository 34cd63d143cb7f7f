// Next.js behind sealgate: the built server, whose pages know the user by the access token, and the development server.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { openProfile, startChromium } from '../lib/chromium.mjs';
import { ACCOUNT } from '../lib/op.mjs';
import { freePorts } from '../lib/ports.mjs';
import { assertCleanEnd, assertNothingLeaked, setScene } from '../lib/scene.mjs';
import { tellOfServerBehind, tellOfServerInFront } from './development.mjs';
import { assertLinkable, complaints, copyOf, pages, run, signIn } from './stage.mjs';

const next = (t, dir, port, command) =>
  run(t, dir, port, 'next/dist/bin/next', [command, '--hostname', '127.0.0.1', '--port', String(port)]);

test('next start behind sealgate', async (t) => {
  const browser = await startChromium(t);
  const [port] = await freePorts(1);
  const dir = await copyOf(t, 'next');
  await next(t, dir, port, 'start');
  const scene = await setScene(t, { assets: null, tables: pages(port), provider: { accessTokens: 'jwt' } });
  const { origin } = scene;
  const { context, answers, settled } = await openProfile(browser);
  const page = await context.newPage();
  const heard = complaints(page, origin);

  await t.test('a deep link signs in, and the server knows who asks', async () => {
    await page.goto(`${origin}/orders?page=2`);
    await signIn(page, scene, '/orders?page=2');
    assert.equal(await page.textContent('#who'), 'ada');
    assert.equal(await page.textContent('#page'), '2');
    await page.reload();
    assert.equal(await page.textContent('#who'), 'ada');
  });

  await t.test('the page runs, and goes on without being loaded', async () => {
    await page.goto(`${origin}/`);
    await page.click('#clicks');
    await page.waitForFunction(() => document.querySelector('#clicks').textContent === '1');
    await page.evaluate(() => { globalThis.stayed = true; });
    await page.click('text=Orders');
    await page.waitForSelector('#order');
    assert.equal(await page.evaluate(() => globalThis.stayed), true);
  });

  await t.test('its own forms post without a header, with scripts and without', async () => {
    await page.click('#order');
    await page.waitForFunction(() => document.querySelector('#ordered').textContent === 'tea for ada');
    const plain = await browser.newContext({ javaScriptEnabled: false });
    t.after(() => plain.close());
    await plain.addCookies(await context.cookies());
    const other = await plain.newPage();
    await other.goto(`${origin}/orders`);
    await other.click('#order');
    await other.waitForSelector('#ordered:has-text("tea for ada")');
  });

  await t.test('a link of another site finds the session, and its form does nothing', async () => {
    await assertLinkable(t, page, `${origin}/orders?page=3`, '#page:has-text("3")');
  });

  await t.test('nothing has leaked, and nothing complained', async () => {
    assert.deepEqual(heard.filter((text) => !/status of 403/.test(text)), []);
    await settled();
    await context.close();
    await assertNothingLeaked(scene, answers);
  });
  await assertCleanEnd(scene);
});

test('next dev behind sealgate', (t) => tellOfServerBehind(t, {
  app: 'next', file: 'app/page.js', ownPackages: true, deep: '/', name: 'ada', isStyled: false,
  serve: (dir, port) => next(t, dir, port, 'dev'),
}));

test('next dev in front of sealgate', (t) => tellOfServerInFront(t, {
  app: 'next-static', file: 'app/shop.js', ownPackages: true, deep: '/more?x=1',
  // Next calls sealgate by the target's `Host`, and would keep the API's events back to compress them.
  frontend: ({ port }) => ({ hosts: [`127.0.0.1:${port}`] }),
  serve: async (dir, port, address) => {
    await writeFile(join(dir, 'next.config.js'), `
      const sealgate = (path) => ({ source: \`\${path}/:path*\`, destination: \`${address}\${path}/:path*\` });
      export default { compress: false, rewrites: async () => [sealgate('/bff'), sealgate('/api')] };
    `);
    return next(t, dir, port, 'dev');
  },
}));
