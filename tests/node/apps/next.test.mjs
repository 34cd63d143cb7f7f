// Next.js behind sealgate: the built server, whose pages know the user by the access token, and the development server.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { openProfile, startChromium } from '../lib/chromium.mjs';
import { ACCOUNT } from '../lib/op.mjs';
import { freePorts } from '../lib/ports.mjs';
import { assertCleanEnd, assertNothingLeaked, setScene } from '../lib/scene.mjs';
import { assertHotReload, assertLinkable, complaints, copyOf, pages, run, signIn } from './stage.mjs';

const NEXT = 'next/dist/bin/next';

test('next start behind sealgate', async (t) => {
  const browser = await startChromium(t);
  const [port] = await freePorts(1);
  const dir = await copyOf(t, 'next');
  await run(t, dir, port, NEXT, ['start', '--hostname', '127.0.0.1', '--port', String(port)]);
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

test('next dev behind sealgate', async (t) => {
  const browser = await startChromium(t);
  const [port] = await freePorts(1);
  const dir = await copyOf(t, 'next', { ownPackages: true });
  const next = await run(t, dir, port, NEXT, ['dev', '--hostname', '127.0.0.1', '--port', String(port)]);
  const scene = await setScene(t, { assets: null, tables: pages(port), log: 'info', provider: { accessTokens: 'jwt' } });
  const { context } = await openProfile(browser);
  const page = await context.newPage();
  const heard = complaints(page, scene.origin);
  await page.goto(`${scene.origin}/`);
  await signIn(page, scene, '/');
  await page.waitForSelector('#who:has-text("ada")').catch((error) => { throw new Error(`${next.output}`, { cause: error }); });
  const edit = async () => {
    const file = join(dir, 'app/page.js');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('The first text', 'The second text'));
  };
  await assertHotReload(page, edit, 'h1', 'The second text');
  assert.deepEqual(heard, []);
  await context.close();
  await assertCleanEnd(scene);
});

test('next dev in front of sealgate', async (t) => {
  const browser = await startChromium(t);
  const [port] = await freePorts(1);
  const dir = await copyOf(t, 'next-static', { ownPackages: true });
  // The address bar shows Next's address, so that is the origin. Next calls sealgate by the target's `Host`, and would keep
  // events back to compress them.
  const scene = await setScene(t, {
    assets: null, publicPort: port, log: 'info', provider: { accessTokens: 'jwt' },
    frontend: ({ port: own }) => ({ hosts: [`127.0.0.1:${own}`] }),
  });
  await writeFile(join(dir, 'next.config.js'), `
    const sealgate = (path) => ({ source: \`\${path}/:path*\`, destination: \`${scene.address}\${path}/:path*\` });
    export default { compress: false, rewrites: async () => [sealgate('/bff'), sealgate('/api')] };
  `);
  const next = await run(t, dir, port, NEXT, ['dev', '--hostname', '127.0.0.1', '--port', String(port)]);
  const { context } = await openProfile(browser);
  const page = await context.newPage();
  const heard = complaints(page, scene.origin);
  await page.goto(`${scene.origin}/more?x=1`);
  await page.waitForSelector('#who:has-text("nobody")').catch((error) => { throw new Error(next.output, { cause: error }); });
  heard.length = 0;
  await page.click('#login');
  await signIn(page, scene, '/more?x=1');
  await page.waitForSelector(`#who:has-text("${ACCOUNT.name}")`);
  await page.click('#call');
  await page.waitForSelector('#answer:text-is("200")');
  await page.click('#listen');
  await page.waitForSelector('#event:text-is("1")');
  const edit = async () => {
    const file = join(dir, 'app/shop.js');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('The first text', 'The second text'));
  };
  await assertHotReload(page, edit, 'h1', 'The second text');
  assert.deepEqual(heard, []);
  await context.close();
  await assertCleanEnd(scene);
});
