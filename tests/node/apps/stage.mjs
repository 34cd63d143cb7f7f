// An app of somebody else's framework behind sealgate, with a provider on another site and a person in Chromium.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { atEnd } from '../lib/ends.mjs';
import { started } from '../lib/started.mjs';

/**
 * A copy of an app, so that a story may edit it. It uses the packages of the original, unless it wants its own: Next.js takes
 * none from outside its directory in development.
 */
export async function copyOf(t, app, { ownPackages = false } = {}) {
  const original = fileURLToPath(new URL(app, import.meta.url));
  const dir = await mkdtemp(join(tmpdir(), `sealgate-${app}-`));
  atEnd(t, () => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  const packages = join(original, 'node_modules');
  await cp(original, dir, { recursive: true, filter: (path) => ownPackages || path !== packages });
  if (!ownPackages) await symlink(packages, join(dir, 'node_modules'));
  return dir;
}

/** Runs a program of the app's packages until the test ends, and waits until it has answered a page. */
export const run = (t, dir, port, program, args) => started({ after: (end) => atEnd(t, end) }, {
  path: process.execPath,
  args: [join(dir, 'node_modules', program), ...args],
  ready: `http://127.0.0.1:${port}/`,
  cwd: dir,
  env: { NEXT_TELEMETRY_DISABLED: '1', CI: '1' },
});

/** The tables of a route that answers pages. */
export const pages = (port, more = '') => `
[upstream.web]
url     = "http://127.0.0.1:${port}"
timeout = "60s"

[frontend.shop.route.web]
path      = "/"
upstream  = "web"
token     = "user"
documents = true
login     = "redirect"
websocket = true
${more}
`;

/** Signs in at the provider's own pages, and waits for the page at `path`. */
export async function signIn(page, { op, origin }, path) {
  await page.waitForURL(`${op.issuer}/**`);
  await page.fill('input[name=login]', 'ada');
  await page.fill('input[name=password]', 'any');
  await page.click('button[type=submit]');
  await page.click('text=Continue');
  await page.waitForURL(`${origin}${path}`);
}

/** A page of another site with a link to `url` and a form that posts there. */
export async function elsewhere(t, url) {
  const server = createServer((_, res) => res.setHeader('content-type', 'text/html').end(
    `<a id="link" href="${url}">there</a><form method="post" action="${url}"><button id="forge">forge</button></form>`,
  )).listen(0, '127.0.0.1');
  atEnd(t, () => server.close());
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}/`;
}

/** A link of another site leads to the page with the session, once and without a loop; its form does nothing. */
export async function assertLinkable(t, page, url, shown) {
  const foreign = await elsewhere(t, url);
  await page.goto(foreign);
  let seen = 0;
  const count = (request) => { if (request.url() === url && request.isNavigationRequest()) seen += 1; };
  page.on('request', count);
  await page.click('#link');
  await page.waitForSelector(shown);
  assert.equal(page.url(), url);
  assert.equal(seen, 2, 'the link, and what the page between goes on to');
  page.off('request', count);
  // Back leads past the page between.
  await page.waitForLoadState('networkidle');
  await page.goBack();
  assert.equal(page.url(), foreign);
  const refused = page.waitForResponse((response) => response.url() === url);
  await page.click('#forge');
  assert.equal((await refused).status(), 403);
}

/** What the console of a page says when something is wrong. */
export function complaints(page, origin) {
  const heard = [];
  page.on('console', (message) => {
    if (message.type() === 'error' && page.url().startsWith(origin)) heard.push(message.text());
  });
  page.on('pageerror', (error) => heard.push(error.message));
  return heard;
}

/** A page that is changed in a file shows the change without being loaded again, and most frameworks keep its state. */
export async function assertHotReload(page, edit, selector, text, { keepsState = true } = {}) {
  await page.click('#clicks');
  await page.waitForFunction(() => document.querySelector('#clicks').textContent === '1');
  await page.evaluate(() => { globalThis.stayed = true; });
  await edit();
  await page.waitForFunction(([selector, text]) => document.querySelector(selector)?.textContent === text, [selector, text]);
  assert.equal(await page.evaluate(() => globalThis.stayed), true, 'the page was not loaded again');
  if (keepsState) assert.equal(await page.textContent('#clicks'), '1', 'nor has it lost its state');
}
