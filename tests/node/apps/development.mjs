// The two stories of a development server: behind sealgate, and in front of it. Hot reload works in both.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { openProfile, startChromium } from '../lib/chromium.mjs';
import { ACCOUNT } from '../lib/op.mjs';
import { freePorts } from '../lib/ports.mjs';
import { assertCleanEnd, setScene } from '../lib/scene.mjs';
import { assertHotReload, assertLinkable, complaints, copyOf, pages, signIn } from './stage.mjs';

/** A copy of an app, a browser, and a port for the server. */
async function set(t, { app, ownPackages }) {
  const browser = await startChromium(t);
  const [port] = await freePorts(1);
  return { browser, port, dir: await copyOf(t, app, { ownPackages }) };
}

/** Opens a page in a profile of its own. */
async function open(browser, { origin }) {
  const { context } = await openProfile(browser);
  const page = await context.newPage();
  return { context, page, heard: complaints(page, origin) };
}

/** Waits until the page greets somebody. What the server says explains why it does not. */
const greets = (page, name, server) => page.waitForSelector(`#who:has-text("${name}")`)
  .catch((error) => { throw new Error(server.output, { cause: error }); });

/** Somebody edits the file of the page. */
const edit = (dir, file) => async () => {
  const path = join(dir, file);
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace('The first text', 'The second text'));
};

/**
 * Behind sealgate every path is a page of the server's.
 *
 * `app`: its directory; `file`: where its page has its text; `serve(dir, port)`: starts the server; `deep`: a path of the app;
 * `name`: whom the page greets; `isStyled`: whether the heading has a color; `keepsState`: whether hot reload keeps the state;
 * `tables`: of the configuration, further ones.
 */
export async function tellOfServerBehind(t, { serve, file, deep = '/deep/link', name = ACCOUNT.name, isStyled = true, keepsState, tables, ...copy }) {
  const { browser, port, dir } = await set(t, copy);
  const server = await serve(dir, port);
  const scene = await setScene(t, { assets: null, tables: pages(port, tables), log: 'info', provider: { accessTokens: 'jwt' } });
  const { context, page, heard } = await open(browser, scene);
  await page.goto(`${scene.origin}${deep}?x=1`);
  await signIn(page, scene, `${deep}?x=1`);
  await greets(page, name, server);
  if (isStyled) {
    const color = await page.evaluate(() => getComputedStyle(document.querySelector('h1')).color);
    assert.equal(color, 'rgb(1, 2, 3)');
  }
  await assertHotReload(page, edit(dir, file), 'h1', 'The second text', { keepsState });
  await page.reload();
  await page.waitForSelector('h1:has-text("The second text")');
  assert.deepEqual(heard, []);
  await assertLinkable(t, page, `${scene.origin}${deep}?x=2`, `#who:has-text("${name}")`);
  await context.close();
  await assertCleanEnd(scene);
}

/**
 * In front of sealgate the server passes `/bff` and `/api` on. The address bar shows the server's address, so that is the origin.
 *
 * As above; `serve(dir, port, address)` is told where sealgate is, and `frontend` is for `setScene`.
 */
export async function tellOfServerInFront(t, { serve, file, deep = '/deep/link', frontend, keepsState, ...copy }) {
  const { browser, port, dir } = await set(t, copy);
  const scene = await setScene(t, { assets: null, publicPort: port, log: 'info', provider: { accessTokens: 'jwt' }, frontend });
  const server = await serve(dir, port, scene.address);
  const { context, page, heard } = await open(browser, scene);
  await page.goto(scene.origin + deep);
  await greets(page, 'nobody', server);
  // Whoever asks for the user where nobody is gets 401, which the console tells.
  heard.length = 0;
  await page.click('#login');
  await signIn(page, scene, deep);
  await greets(page, ACCOUNT.name, server);
  await page.click('#call');
  await page.waitForSelector('#answer:text-is("200")');
  await page.click('#listen');
  await page.waitForSelector('#event:text-is("1")');
  await assertHotReload(page, edit(dir, file), 'h1', 'The second text', { keepsState });
  assert.deepEqual(heard, []);
  await context.close();
  await assertCleanEnd(scene);
}
