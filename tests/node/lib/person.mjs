// What a person does on the provider's pages.
import { eventually } from './waiting.mjs';

/** Signs in and consents, as far as the provider asks; ends on the application's page. */
export async function passSignIn(browser, op, { login = 'ada' } = {}) {
  let last;
  for (let pages = 0; browser.url.origin === op.issuer; pages += 1) {
    if (pages > 4) throw new Error(`stuck at the provider: ${browser.url}\n${browser.page}`);
    const asksLogin = /name="prompt" value="login"/.test(browser.page);
    last = await browser.submit(asksLogin ? { login, password: 'any' } : {});
  }
  return last;
}

/** Signs in at `address` for an access token that ends soon, and waits for its end. Those that a refresh brings last. */
export async function signInUntilExpiry(browser, op, address) {
  const lasting = op.accessTokenSeconds;
  // What is told to end sooner counts as five seconds, too.
  op.accessTokenSeconds = 5;
  await browser.open(address);
  await passSignIn(browser, op);
  op.accessTokenSeconds = lasting;
  await awaitTokenEnd(browser);
}

/** Waits until sealgate itself says that the browser's access token has ended. */
export async function awaitTokenEnd(browser) {
  let last;
  await eventually('the access token has ended', async () => {
    last = await browser.fetch('/bff/session', { headers: { 'x-csrf': '1' } });
    const { active, server_now: now, access_token_expires_at: end } = JSON.parse(last.body);
    return active && now > end;
  }, () => `${last.status} ${last.body}`, 250);
}

/** {@link passSignIn} by clicking, on a page of Chromium that is on its way to the provider. */
export async function clickThroughSignIn(page, login = 'ada') {
  await page.fill('input[name=login]', login);
  await page.fill('input[name=password]', 'any');
  await page.click('button[type=submit]');
  await page.click('text=Continue');
}

/** Confirms the end of the session at the provider; ends on the application's page. */
export async function passSignOut(browser, op) {
  let last;
  for (let pages = 0; browser.url.origin === op.issuer; pages += 1) {
    if (pages > 2) throw new Error(`stuck at the provider: ${browser.url}\n${browser.page}`);
    last = await browser.submit({ logout: 'yes' });
  }
  return last;
}
