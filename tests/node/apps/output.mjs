// The story of what a build puts out, served as it is: styled, deep links, login, API, silent login and logout, in Chromium,
// and not a complaint.
import assert from 'node:assert/strict';

import { openProfile, startChromium } from '../lib/chromium.mjs';
import { ACCOUNT } from '../lib/op.mjs';
import { assertCleanEnd, assertNothingLeaked, setScene } from '../lib/scene.mjs';
import { startHub } from './hub.mjs';
import { complaints, signIn } from './stage.mjs';

/** The ten lines that SignalR adds. */
const hub = (url) => `
[upstream.hub]
url = "${url}"

[frontend.shop.route.hub]
path      = "/api/hub"
upstream  = "hub"
token     = "user"
websocket = true
`;

/**
 * Tells it of the files in `assets`. `fallback`: as the key; `deep`: a path that only a reload asks the server for; `hasWorker`:
 * whether the app has a service worker; `hasHub`: whether it uses SignalR.
 */
export async function tellOfBuild(t, { assets, fallback, deep = '/deep/link?x=1', hasWorker, hasHub }) {
  const browser = await startChromium(t);
  const tables = hasHub ? hub(await startHub(t)) : '';
  const scene = await setScene(t, { assets, fallback, tables, log: 'debug', provider: { accessTokens: 'jwt' } });
  const { origin } = scene;
  const { context, answers, settled } = await openProfile(browser);
  const page = await context.newPage();
  const heard = complaints(page, origin);
  const color = (selector) => page.evaluate((s) => getComputedStyle(document.querySelector(s)).color, selector);
  const shows = (selector, text) => page.waitForSelector(`${selector}:text-is("${text}")`);

  // A deep link is there, and styled, by the worker's hand, too.
  await page.goto(origin + deep);
  await shows('#who', 'nobody');
  if (hasWorker) await page.waitForFunction(() => navigator.serviceWorker.controller);
  await page.reload();
  await shows('#who', 'nobody');
  assert.equal(await color('h1'), 'rgb(1, 2, 3)', 'a style sheet');
  assert.equal(await color('.inline'), 'rgb(4, 5, 6)', 'an inline style');
  assert.equal(await color('#who'), 'rgb(7, 8, 9)', "a component's style");
  assert.equal(await page.getAttribute('html', 'data-inline'), 'yes', 'an inline script');
  await page.click('#handler');
  assert.equal(await page.getAttribute('#handler', 'data-clicked'), 'yes', 'an event-handler attribute');

  // Login comes back to the page.
  await page.click('#login');
  await signIn(page, scene, deep);
  await shows('#who', ACCOUNT.name);

  // A call, events, and code that is loaded when it is used.
  await page.click('#call');
  await shows('#answer', '200');
  await page.click('#listen');
  await shows('#event', '1');
  if (hasHub) {
    await page.click('#hub');
    await shows('#said', 'hello');
  }
  await page.click('#more');
  await page.waitForSelector('#lazy');
  await page.reload();
  await shows('#who', ACCOUNT.name);

  // The provider is another site, whose cookies a frame does not get here: the frame answers, and says no.
  const said = await page.evaluate(() => new Promise((resolve) => {
    addEventListener('message', ({ data }) => data.source === 'bff-silent-login' && resolve(data));
    const frame = document.createElement('iframe');
    frame.src = '/bff/silent-login';
    document.body.append(frame);
  }));
  assert.equal(said.isLoggedIn, false);

  await page.click('#logout');
  await page.waitForURL(`${scene.op.issuer}/**`);
  await page.goto(origin + deep);
  await shows('#who', 'nobody');

  // Whoever asks for the user where nobody is gets 401, which the console tells.
  assert.deepEqual(heard.filter((text) => !/status of 401/.test(text)), []);
  await settled();
  await context.close();
  await assertNothingLeaked(scene, answers);
  await assertCleanEnd(scene);
}
