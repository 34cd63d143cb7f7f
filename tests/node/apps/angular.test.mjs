// Angular's development server: behind sealgate, and in front of it. Hot reload works in both.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { openProfile, startChromium } from '../lib/chromium.mjs';
import { ACCOUNT } from '../lib/op.mjs';
import { freePorts } from '../lib/ports.mjs';
import { assertCleanEnd, setScene } from '../lib/scene.mjs';
import { assertHotReload, assertLinkable, complaints, copyOf, pages, run, signIn } from './stage.mjs';

const NG = '@angular/cli/bin/ng.js';

const edit = (dir) => async () => {
  const file = join(dir, 'src/app/app.html');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace('The first text', 'The second text'));
};

const color = (page, selector) => page.evaluate((s) => getComputedStyle(document.querySelector(s)).color, selector);

test('ng serve behind sealgate', async (t) => {
  const browser = await startChromium(t);
  const [port] = await freePorts(1);
  const dir = await copyOf(t, 'angular');
  const ng = await run(t, dir, port, NG, ['serve', '--host', '127.0.0.1', '--port', String(port)]);
  const scene = await setScene(t, { assets: null, tables: pages(port), log: 'info', provider: { accessTokens: 'jwt' } });
  const { context } = await openProfile(browser);
  const page = await context.newPage();
  const heard = complaints(page, scene.origin);
  await page.goto(`${scene.origin}/deep/link?x=1`);
  await signIn(page, scene, '/deep/link?x=1');
  await page.waitForSelector(`#who:has-text("${ACCOUNT.name}")`).catch((error) => { throw new Error(ng.output, { cause: error }); });
  assert.equal(await color(page, 'h1'), 'rgb(1, 2, 3)');
  assert.equal(await color(page, '#who'), 'rgb(7, 8, 9)');
  await assertHotReload(page, edit(dir), 'h1', 'The second text');
  await page.reload();
  await page.waitForSelector('h1:has-text("The second text")');
  assert.deepEqual(heard, []);
  await assertLinkable(t, page, `${scene.origin}/deep/link?x=2`, `#who:has-text("${ACCOUNT.name}")`);
  await context.close();
  await assertCleanEnd(scene);
});

test('ng serve in front of sealgate', async (t) => {
  const browser = await startChromium(t);
  const [port] = await freePorts(1);
  const dir = await copyOf(t, 'angular');
  // The address bar shows Angular's address, so that is the origin.
  const scene = await setScene(t, { assets: null, publicPort: port, log: 'info', provider: { accessTokens: 'jwt' } });
  const sealgate = { target: scene.address, ws: true };
  await writeFile(join(dir, 'proxy.json'), JSON.stringify({ '/bff': sealgate, '/api': sealgate }));
  await run(t, dir, port, NG, ['serve', '--host', '127.0.0.1', '--port', String(port), '--proxy-config', 'proxy.json']);
  const { context } = await openProfile(browser);
  const page = await context.newPage();
  const heard = complaints(page, scene.origin);
  await page.goto(`${scene.origin}/deep/link`);
  await page.waitForSelector('#who:has-text("nobody")');
  heard.length = 0;
  await page.click('#login');
  await signIn(page, scene, '/deep/link');
  await page.waitForSelector(`#who:has-text("${ACCOUNT.name}")`);
  await page.click('#call');
  await page.waitForSelector('#answer:text-is("200")');
  await page.click('#listen');
  await page.waitForSelector('#event:text-is("1")');
  await assertHotReload(page, edit(dir), 'h1', 'The second text');
  assert.deepEqual(heard, []);
  await context.close();
  await assertCleanEnd(scene);
});
