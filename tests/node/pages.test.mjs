// What people see: the program's own pages, and the demo, in a real browser.
//
// axe-core finds nothing on any of them, on desktop and phone, light and dark (N7, N13). The demo is clicked through: each
// attack is a real request, and its refusal shows.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertAccessible, fieldContrasts } from './lib/axe.mjs';
import { openProfile, startChromium } from './lib/chromium.mjs';
import { startDemo } from './lib/demo.mjs';
import { freePorts } from './lib/ports.mjs';
import { setScene } from './lib/scene.mjs';
import { scratch, startSealgate, sweep } from './lib/sealgate.mjs';
import { noise } from './lib/tokens.mjs';
import { eventually, HANGS_MS } from './lib/waiting.mjs';

/** Errors that a page reports of itself, a refused load that it asked for aside. */
function complaints(page) {
  const heard = [];
  page.on('pageerror', (error) => heard.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/the server responded with a status of 40[013]/.test(message.text())) heard.push(message.text());
  });
  return heard;
}

test('the demo tells its story', { timeout: HANGS_MS }, async (t) => {
  const browser = await startChromium(t);
  const { url } = await startDemo(t);
  const { context, answers, settled } = await openProfile(browser);
  const page = await context.newPage();
  const heard = complaints(page);
  const headline = () => page.innerText('h1:visible');

  await t.test('the first screen says what will be proved', async () => {
    await page.goto(url);
    await page.waitForSelector('#signed-out:not([hidden])');
    assert.match(await headline(), /The API gets a token\.\s+This page never does\./);
    await assertAccessible(page, 'the first screen');
  });

  await t.test('the identity provider asks for a password', async () => {
    await page.click('#login');
    await page.waitForSelector('#username');
    await assertAccessible(page, 'the login page');
    // WCAG 2.2, 1.4.11: it was 1.4.
    const contrasts = await fieldContrasts(page);
    assert.equal(contrasts.length, 4);
    assert.ok(contrasts.every((contrast) => contrast >= 3), `${contrasts}`);
    await page.fill('#username', 'alice');
    await page.fill('#password', 'wrong');
    await page.click('#sign-in');
    await page.waitForSelector('[role=alert]');
    await assertAccessible(page, 'the login page after a wrong password');
    await page.fill('#password', 'wonderland');
    await page.click('#sign-in');
  });

  await t.test('the API is called at once, and the headline says what came of it', async () => {
    await page.waitForFunction(() => /^The API got a token\.\s+This page did not\.$/.test(document.getElementById('headline')?.innerText));
    assert.match(await page.textContent('#api-echo'), /Authorization: Bearer eyJhbG… /);
    assert.match(await page.textContent('#page-sent'), /Authorization: none/);
    await page.waitForFunction(() => /so far: 0\.$/.test(document.getElementById('searched')?.textContent));
    await assertAccessible(page, 'the page of somebody who is signed in');
  });

  await t.test('the cookies are shown by name, size and flags', async () => {
    const read = () => page.$$eval('#cookie-list tr', (rows) => rows.map((row) => {
      const [name, size, flags] = row.cells;
      return { name: name.querySelector('code').textContent, size: parseInt(size.textContent, 10), flags: flags.textContent };
    }));
    let [shown, jar] = [[], []];
    const sizes = (all) => all.map(({ name, size }) => `${name} ${size}`).sort().join();
    // A refresh may come between two looks.
    await eventually('the page shows what the browser has', async () => {
      [shown, jar] = [await read(), (await context.cookies()).filter(({ domain }) => domain === 'localhost')];
      return jar.length > 0 && sizes(shown) === sizes(jar.map(({ name, value }) => ({ name, size: `${name}=${value}`.length })));
    }, () => `${sizes(shown)}\n${jar.map(({ name, value }) => `${name} ${value.length}`)}`);
    for (const { name, flags } of shown) {
      const { value, path, httpOnly, sameSite } = jar.find((cookie) => cookie.name === name);
      assert.match(flags, new RegExp(`Path=${path} `));
      assert.ok(httpOnly && flags.includes('HttpOnly'), name);
      assert.ok(flags.includes(`SameSite=${sameSite}`), name);
      assert.ok(!(await page.content()).includes(value), `the value of ${name} is nowhere`);
    }
    assert.equal(await page.textContent('#cookies'), 'none');
  });

  await t.test('a refresh is seen without a click', async () => {
    await page.waitForSelector('#refreshes li');
    // In one look, because the next refresh is on its way.
    const [line, token] = await page.evaluate(() => ['#refreshes li', '#token'].map((where) => document.querySelector(where).textContent));
    const [, before, after] = line.match(/token (\w+) became (\w+)\./);
    assert.notEqual(before, after);
    assert.equal(token, after);
  });

  await t.test('a call without a token is called one', async () => {
    // Seen by an observer, because a refresh may call again at any moment.
    await page.evaluate(() => new Promise((seen) => {
      const headline = document.getElementById('headline');
      const look = () => { if (/without a token/.test(headline.textContent)) seen(); };
      new MutationObserver(look).observe(headline, { childList: true });
      document.getElementById('call-public').click();
    }));
    await page.click('#call-api');
    await page.waitForFunction(() => /did not\.$/.test(document.getElementById('headline').innerText));
  });

  await t.test('each attack is refused before one’s eyes', async () => {
    const verdict = async (name) => {
      await page.waitForSelector(`#verdict-${name} code`);
      return page.textContent(`#verdict-${name}`);
    };
    await page.click('#attack-script');
    assert.match(await verdict('script'), /^nothing is in document\.cookie/);
    await page.click('#attack-header');
    assert.match(await verdict('header'), /^403 cross-site-request Refused: .* reached the API: 0\.$/);
    for (const [name, path] of [['form', '/api/echo/forged'], ['socket', undefined], ['logout', '/bff/logout']]) {
      const [other] = await Promise.all([context.waitForEvent('page'), page.click(`#attack-${name}`)]);
      assert.match(await verdict(name), /^403 cross-site-request Refused: .* reached the API: 0\.$/, name);
      if (path) await other.waitForURL((at) => at.pathname === path);
      else await other.waitForFunction(() => /did not open/.test(document.getElementById('attempt')?.textContent));
      await assertAccessible(other, `the other page, ${name}`);
      await settled();
      await other.close();
    }
    const [other] = await Promise.all([context.waitForEvent('page'), page.click('#attack-copy')]);
    assert.match(await verdict('copy'), /^200 The copy works: .*This session is not bound: browsers bind over TLS alone/);
    await other.waitForFunction(() => /has called the API with your cookies/.test(document.getElementById('attempt')?.textContent));
    await assertAccessible(other, 'the other page, copy');
    await settled();
    await other.close();
    const posted = answers.filter(({ method, url: at }) => method === 'POST' && new URL(at).pathname === '/api/echo/forged');
    assert.deepEqual(posted.map(({ status }) => status), [403, 403], 'the script and the form');
    for (const { sentCookie } of posted) assert.match(sentCookie, /sealgate-shop=/, 'the cookies came along: sealgate refused');
    assert.match(await headline(), /did not\.$/, 'and nobody was signed out');
    await page.$$eval('details', (all) => all.forEach((one) => { one.open = true; }));
    await assertAccessible(page, 'the page with all verdicts');
  });

  await t.test('a session that is about to end says so, and can be kept', async () => {
    await page.route('**/bff/session', (route) => route.fulfill({
      json: { active: true, server_now: 1_000_000, session_ends_at: 1_003_600, idle_ends_at: 1_000_050, claims: {} },
    }));
    await page.reload();
    await page.waitForSelector('#ending:not([hidden])');
    await assertAccessible(page, 'the page with the warning');
    await page.unroute('**/bff/session');
    const [used] = await Promise.all([page.waitForResponse(`${url}api/echo/still-here`), page.click('#stay')]);
    assert.equal(used.status(), 200);
    await page.waitForSelector('#ending', { state: 'hidden' });
  });

  await t.test('the signed-out page says that both sessions are over', async () => {
    await page.click('#logout');
    await page.waitForSelector('#both-over:not([hidden])');
    assert.equal(await headline(), 'Both sessions are over.');
    await page.waitForFunction(() => /active: false/.test(document.getElementById('left')?.textContent));
    await assertAccessible(page, 'the signed-out page');
    await page.click('#both-over .button');
    // The provider's own session is over too: it asks again.
    await page.waitForSelector('#password');
  });

  await t.test('a login that is cancelled ends in the application', async () => {
    await page.click('#cancel');
    await page.waitForSelector('#login');
    assert.equal(new URL(page.url()).origin, new URL(url).origin);
    await assertAccessible(page, 'the page after a refused login');
  });

  await t.test('the provider’s other pages', async () => {
    await page.click('#login');
    await page.fill('#username', 'bob');
    await page.fill('#password', 'builder');
    await page.click('#sign-in');
    await page.waitForSelector('#signed-in:not([hidden])');
    await page.waitForFunction(() => /by \S+/.test(document.getElementById('api-echo')?.textContent));
    const { origin } = new URL((await page.textContent('#api-echo')).match(/by (\S+)/)[1]);
    for (const [path, said] of [['/', 'Nothing to do here'], ['/authorize', 'That did not work'], ['/end_session', 'Sign out?']]) {
      await page.goto(`${origin}${path}`);
      assert.equal(await headline(), said);
      await assertAccessible(page, `the provider’s ${path}`);
    }
    await page.click('#sign-out');
    await page.waitForSelector('text=You are signed out');
    await assertAccessible(page, 'the provider’s signed-out page');
  });

  assert.deepEqual(heard, [], 'no script error, no breach of a content security policy');
});

test('the demo’s phone gets its screen in one call', { timeout: HANGS_MS }, async (t) => {
  const browser = await startChromium(t);
  const { url } = await startDemo(t);
  const { context } = await openProfile(browser);
  const page = await context.newPage();
  const heard = complaints(page);
  const number = async (id) => Number(await page.textContent(`#${id}`));
  const looksRight = async (what) => {
    await assertAccessible(page, what);
    await page.setViewportSize({ width: 360, height: 740 });
    assert.equal(await page.evaluate(() => document.scrollingElement.scrollWidth), 360, `${what} is as wide as the phone`);
  };
  const orders = () => page.$$eval('#orders li', (all) => all.map((one) => one.innerText));
  const pressed = async (id, shown) => {
    await page.click(`#as-${id}`);
    await page.waitForFunction(([trips, wanted]) => document.getElementById(trips)?.textContent === wanted, [`${id}-trips`, shown]);
  };

  await page.goto(url);
  await page.click('#login');
  await page.fill('#username', 'alice');
  await page.fill('#password', 'wonderland');
  await page.click('#sign-in');
  await page.waitForSelector('#signed-in:not([hidden])');
  await page.click('#phone');
  await page.waitForSelector('#signed-out:not([hidden])');
  await looksRight('the first screen');
  // Who is signed in at the provider comes back at once.
  await page.click('#login');
  await page.waitForSelector('#orders li');
  assert.equal(await page.textContent('#name'), 'Alice Liddell');
  assert.equal((await orders()).length, 3);
  await looksRight('the home screen');

  const asOne = await orders();
  await pressed('three', '3');
  assert.deepEqual(await orders(), asOne, 'the same screen');
  assert.equal(await number('one-trips'), 1);
  assert.ok(await number('one-bytes') * 5 < await number('three-bytes'));

  await page.click('#as-one');
  await page.check('#outage');
  await page.waitForFunction(() => /^HTTP 200\s+Sealgate-Partial: prices/.test(document.getElementById('said')?.textContent));
  assert.match(await page.textContent('#said'), /"code": "upstream-status"/);
  assert.ok((await orders()).every((one) => /today no price/.test(one)), 'the rest is there');
  await looksRight('the screen without prices');
  await page.uncheck('#outage');
  await page.waitForFunction(() => !/Sealgate-Partial/.test(document.getElementById('said')?.textContent));
  assert.deepEqual(await orders(), asOne);
  await page.click('#logout');
  await page.waitForSelector('#signed-out:not([hidden])');
  assert.deepEqual(heard, [], 'no script error, no breach of a content security policy');
});

test('the program’s own pages', { timeout: HANGS_MS }, async (t) => {
  const browser = await startChromium(t);
  const dir = await scratch();
  t.after(() => sweep(dir));
  const [port, adminPort, nobody] = await freePorts(3);
  const origin = `http://localhost:${port}`;
  const dead = `http://127.0.0.1:${nobody}`;
  const sealgate = await startSealgate({
    dir, origin, port, adminPort, log: 'info',
    op: { issuer: dead, clientId: 'shop', clientSecret: 'secret' },
    api: { url: dead },
    tables: `
[frontend.shop.route.open]
path     = "/open"
upstream = "echo"
token    = "none"

[frontend.shop.route.seldom]
path       = "/seldom"
upstream   = "echo"
token      = "none"
rate_limit = { per_second = 0.01, burst = 1, by = "address" }
`,
  });
  t.after(() => sealgate.stop());
  const { context } = await openProfile(browser);
  const page = await context.newPage();
  const heard = complaints(page);

  /** Goes there as a link of the application would. */
  const follow = async (path) => {
    await page.goto(`${origin}/bff/login`);
    await page.evaluate((href) => {
      document.body.append(Object.assign(document.createElement('a'), { href, id: 'go', textContent: 'go' }));
    }, path);
    const [answer] = await Promise.all([page.waitForNavigation(), page.click('#go')]);
    return answer;
  };

  for (const { path, status, code, said, way, typed = false } of [
    { path: '/bff/login?returnUrl=/orders', status: 503, code: 'identity-provider-unavailable', said: /^Signing in is not possible/, way: 'Try again', typed: true },
    { path: '/bff/callback?code=x&state=y', status: 400, code: 'login-failed', said: /^You are not signed in/, way: 'Sign in again', typed: true },
    { path: '/bff/logout?sid=guess', status: 400, code: 'bad-request', said: /sign-out link does not fit/, way: 'Back to the application' },
    { path: '/bff/login?max_age=x', status: 400, code: 'bad-request', said: /sign-in link is not valid/, way: 'Sign in', typed: true },
    { path: '/api/echo', status: 401, code: 'login-required', said: /^Please sign in/, way: 'Sign in' },
    { path: '/api/echo', status: 403, code: 'cross-site-request', said: /^This address is not a page/, way: 'Back to the application', typed: true },
    { path: '/open/page', status: 502, code: 'upstream-unavailable', said: /does not work/, way: 'Try again' },
    { path: '/seldom', status: 429, code: 'rate-limited', said: /^Too many requests/, way: 'Try again' },
    { path: '/nowhere', status: 404, code: 'not-found', said: /^There is nothing here/, way: 'Back to the application' },
  ]) {
    await t.test(`${status} ${code}: ${path}`, async () => {
      if (status === 429) await follow(path);
      const answer = typed ? await page.goto(origin + path) : await follow(path);
      assert.equal(answer.status(), status);
      assert.match(await page.textContent('h1'), said);
      assert.equal(await page.textContent('.ways a'), way);
      const reference = await page.textContent('.reference');
      assert.ok(reference.includes(answer.headers()['x-request-id']) && reference.includes(code), reference);
      assert.equal(await page.$('script'), null);
      // The style is applied: its hash stands in the policy.
      assert.equal(await page.$eval('.ways a', (a) => getComputedStyle(a).textDecorationLine), 'none');
      await assertAccessible(page, path);
    });
  }
  await t.test('a silent login says what it is, if somebody opens it', async () => {
    await page.goto(`${origin}/bff/silent-login`);
    assert.equal(await page.textContent('h1'), 'You are not signed in');
    await assertAccessible(page, 'a silent login');
  });
  assert.deepEqual(heard.filter((text) => !/status of (404|429|50[23])/.test(text)), [], 'no breach of the content security policy');
});

test('an account that is too large for its cookies', { timeout: HANGS_MS }, async (t) => {
  const browser = await startChromium(t);
  const filler = noise(40_000);
  const { origin, op } = await setScene(t, { log: 'info', provider: { accessTokens: 'jwt', extraClaims: () => ({ filler }) } });
  const { context } = await openProfile(browser);
  const page = await context.newPage();
  await page.goto(`${origin}/bff/login`);
  await page.waitForURL(`${op.issuer}/**`);
  await page.fill('input[name=login]', 'ada');
  await page.fill('input[name=password]', 'any');
  await page.click('button[type=submit]');
  await page.click('text=Continue');
  await page.waitForURL((at) => at.pathname === '/bff/callback');
  assert.equal(await page.textContent('h1'), 'Your account is too large for this application');
  assert.doesNotMatch(await page.textContent('main > p'), /token|bytes/, 'figures are for the operator');
  await assertAccessible(page, 'an account that is too large');
});
