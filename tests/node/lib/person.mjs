// What a person does on the provider's pages.

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

/** Confirms the end of the session at the provider; ends on the application's page. */
export async function passSignOut(browser, op) {
  let last;
  for (let pages = 0; browser.url.origin === op.issuer; pages += 1) {
    if (pages > 2) throw new Error(`stuck at the provider: ${browser.url}\n${browser.page}`);
    last = await browser.submit({ logout: 'yes' });
  }
  return last;
}
