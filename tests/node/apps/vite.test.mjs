// The development server of Vite with React: behind sealgate, and in front of it. Hot reload works in both.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { openProfile, startChromium } from '../lib/chromium.mjs';
import { ACCOUNT } from '../lib/op.mjs';
import { freePorts } from '../lib/ports.mjs';
import { assertCleanEnd, setScene } from '../lib/scene.mjs';
import { assertHotReload, assertLinkable, complaints, copyOf, pages, run, signIn } from './stage.mjs';

const VITE = 'vite/bin/vite.js';

const edit = (dir) => async () => {
  const file = join(dir, 'src/App.jsx');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace('The first text', 'The second text'));
};

test('vite behind sealgate', async (t) => {
  const browser = await startChromium(t);
  const [port] = await freePorts(1);
  const dir = await copyOf(t, 'vite');
  await run(t, dir, port, VITE, ['--host', '127.0.0.1', '--port', String(port), '--strictPort']);
  const scene = await setScene(t, { assets: null, tables: pages(port), log: 'info', provider: { accessTokens: 'jwt' } });
  const { context } = await openProfile(browser);
  const page = await context.newPage();
  const heard = complaints(page, scene.origin);
  await page.goto(`${scene.origin}/deep/link?x=1`);
  await signIn(page, scene, '/deep/link?x=1');
  await page.waitForSelector(`#who:has-text("${ACCOUNT.name}")`);
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('h1')).color), 'rgb(1, 2, 3)');
  await assertHotReload(page, edit(dir), 'h1', 'The second text');
  await page.reload();
  await page.waitForSelector('h1:has-text("The second text")');
  assert.deepEqual(heard, []);
  await assertLinkable(t, page, `${scene.origin}/deep/link?x=2`, `#who:has-text("${ACCOUNT.name}")`);
  await context.close();
  await assertCleanEnd(scene);
});

test('vite in front of sealgate', async (t) => {
  const browser = await startChromium(t);
  const [port] = await freePorts(1);
  const dir = await copyOf(t, 'vite');
  // The address bar shows vite's address, so that is the origin.
  const scene = await setScene(t, { assets: null, publicPort: port, log: 'info', provider: { accessTokens: 'jwt' } });
  await writeFile(join(dir, 'vite.config.js'), `
    import react from '@vitejs/plugin-react';
    const sealgate = { target: '${scene.address}', ws: true };
    export default { plugins: [react()], server: { proxy: { '/bff': sealgate, '/api': sealgate } } };
  `);
  await run(t, dir, port, VITE, ['--host', '127.0.0.1', '--port', String(port), '--strictPort']);
  const { context } = await openProfile(browser);
  const page = await context.newPage();
  const heard = complaints(page, scene.origin);
  await page.goto(`${scene.origin}/`);
  await page.waitForSelector('#who:has-text("nobody")');
  heard.length = 0;
  await page.goto(`${scene.origin}/bff/login?returnUrl=/deep/link`);
  await signIn(page, scene, '/deep/link');
  await page.waitForSelector(`#who:has-text("${ACCOUNT.name}")`);
  const answer = await page.evaluate(async () => (await fetch('/api/echo/x', { headers: { 'X-CSRF': '1' } })).status);
  assert.equal(answer, 200);
  await assertHotReload(page, edit(dir), 'h1', 'The second text');
  assert.deepEqual(heard, []);
  await context.close();
  await assertCleanEnd(scene);
});
