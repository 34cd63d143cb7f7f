// Headless Chromium from the system, kept to loopback.
import { createHash, X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { chromium } from 'playwright-core';

import { program } from './programs.mjs';
import { scratch, sweep } from './sealgate.mjs';
import { PATIENCE_MS } from './waiting.mjs';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
  // The provider's pages import a web font: nothing but loopback has a name here, and localhost is IPv4.
  '--host-resolver-rules=MAP localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

/** Starts Chromium, and ends it with the test `t`. */
export async function startChromium(t) {
  const browser = await chromium.launch({ executablePath: program('chromium'), args: FLAGS, timeout: PATIENCE_MS });
  t.after(() => browser.close());
  return browser;
}

/**
 * A fresh profile that writes down every answer, in the shape of `Browser.answers`.
 *
 * `settled()` waits until the bodies are read, and must be called before the answers are searched, and before a page is
 * closed whose answers matter.
 */
export async function openProfile(browser) {
  return observe(await browser.newContext({ ignoreHTTPSErrors: true }));
}

/**
 * A Chromium that binds sessions to its device, with keys in software; it ends with the test `t`.
 *
 * It binds nothing over a connection with errors, so it must trust this certificate, by the hash of its public key.
 */
export async function openDevice(t, { pem }) {
  const spki = createHash('sha256').update(new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
  const profile = await scratch();
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: program('chromium'),
    args: [
      ...FLAGS, `--ignore-certificate-errors-spki-list=${spki}`,
      '--enable-features=DeviceBoundSessions:RefreshQuota/false,EnableBoundSessionCredentialsSoftwareKeysForManualTesting',
    ],
    timeout: PATIENCE_MS,
  }).catch(async (error) => {
    await sweep(profile);
    throw error;
  });
  t.after(async () => {
    await context.close();
    await sweep(profile);
  });
  return observe(context);
}

/** What Chromium itself says of device sessions, as it comes. */
export async function deviceEvents(context, page) {
  const events = [];
  const cdp = await context.newCDPSession(page);
  cdp.on('Network.deviceBoundSessionEventOccurred', (event) => events.push(event));
  await cdp.send('Network.enable');
  await cdp.send('Network.enableDeviceBoundSessions', { enable: true });
  return events;
}

/** How a call of the page's own script is answered. The client module would leave for the login where nobody is signed in. */
export const callFrom = (page, path) => page.evaluate(async (to) => {
  const answer = await fetch(to, { headers: { 'X-CSRF': '1' } });
  return `${answer.status} ${await answer.text()}`;
}, path);

function observe(context) {
  context.setDefaultTimeout(PATIENCE_MS);
  const pending = [];
  const answers = [];
  const note = async (response) => {
    const request = response.request();
    const sentHeaders = await request.allHeaders();
    const headers = await response.headersArray();
    // A redirect has no body, and one that a closed page never took does not come any more.
    const none = Buffer.alloc(0);
    const body = await Promise.race([response.body().catch(() => none), sleep(3000, none, { ref: false })]);
    answers.push({
      method: request.method(),
      url: response.url(),
      sentCookie: sentHeaders.cookie ?? '',
      sentHeaders,
      status: response.status(),
      reason: response.statusText(),
      rawHeaders: headers.flatMap(({ name, value }) => [name, value]),
      headers: response.headers(),
      setCookies: headers.filter(({ name }) => name.toLowerCase() === 'set-cookie').map(({ value }) => value),
      body: body.toString(),
      early: [],
    });
  };
  // A page that is closed tells no more.
  const unlessClosed = (error) => {
    if (!/has been closed/.test(error.message)) throw error;
  };
  context.on('response', (response) => pending.push(note(response).catch(unlessClosed)));
  return { context, answers, settled: async () => { while (pending.length) await pending.shift(); } };
}
