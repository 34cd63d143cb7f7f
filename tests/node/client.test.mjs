// The client module in a real browser, against the program and a certified provider.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { openProfile, startChromium } from './lib/chromium.mjs';
import { ACCOUNT } from './lib/op.mjs';
import { assertCleanEnd, setScene } from './lib/scene.mjs';
import { eventually, HANGS_MS } from './lib/waiting.mjs';

test('an app that uses /bff/client.js', { timeout: HANGS_MS }, async (t) => {
  const browser = await startChromium(t);
  const scene = await setScene(t, { tls: true, provider: { accessTokens: 'jwt' } });
  const { origin, op, api } = scene;
  const { context } = await openProfile(browser);
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await context.addInitScript(() => {
    globalThis.story = { heard: [] };
  });
  const inPage = (where, body) => where.evaluate(body);
  /** The next requests there, so many, get this 401. */
  const refuse = (where, code, times) => page.route(where, (route) => route.fulfill({
    status: 401, contentType: 'application/problem+json',
    body: JSON.stringify({ type: `urn:sealgate:problem:${code}`, code, login_url: '/bff/login' }),
  }), { times });
  const signIn = async () => {
    await page.waitForURL(`${op.issuer}/**`);
    await page.fill('input[name=login]', 'ada');
    await page.fill('input[name=password]', 'any');
    await page.click('button[type=submit]');
    await page.click('text=Continue');
  };

  await t.test('nobody is signed in', async () => {
    await page.goto(`${origin}/`);
    const found = await inPage(page, async () => {
      const { session, user } = await import('/bff/client.js');
      return [await user(), await session()];
    });
    assert.deepEqual(found, [null, { active: false }]);
  });

  await t.test('login() comes back to the page, with query and fragment', async () => {
    await page.goto(`${origin}/?page=2&q=gr%C3%BCn#part`);
    await inPage(page, async () => {
      const { login } = await import('/bff/client.js');
      login();
    });
    await signIn();
    await page.waitForURL(`${origin}/?page=2&q=gr%C3%BCn#part`);
    const claims = await inPage(page, async () => (await import('/bff/client.js')).user());
    assert.equal(claims.find(({ type }) => type === 'name').value, ACCOUNT.name);
  });

  await t.test('api() sends the header and what it was given', async () => {
    const answer = await inPage(page, async () => {
      const { api: call } = await import('/bff/client.js');
      const got = await call('/api/echo', { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } });
      return [got.status, await got.json()];
    });
    assert.equal(answer[0], 200);
    assert.equal(answer[1].body, '{"a":1}');
    assert.equal(api.last().headers['content-type'], 'application/json');
  });

  await t.test('api() repeats once after what passes by itself, body and all', async () => {
    for (const code of ['session-refresh-conflict', 'device-proof-required']) {
      await refuse('**/api/echo', code, 1);
      const answer = await inPage(page, async () => {
        const got = await (await import('/bff/client.js')).api('/api/echo', { method: 'PUT', body: 'again' });
        return [got.status, (await got.json()).body];
      });
      assert.deepEqual(answer, [200, 'again'], code);
      await page.unroute('**/api/echo');
    }
  });

  await t.test('user() waits for the proof of the device', async () => {
    await refuse('**/bff/user', 'device-proof-required', 1);
    const claims = await inPage(page, async () => (await import('/bff/client.js')).user());
    assert.equal(claims.find(({ type }) => type === 'name').value, ACCOUNT.name);
    await page.unroute('**/bff/user');
    // A browser that cannot prove its device has to sign in.
    await refuse('**/bff/user', 'device-proof-required', 2);
    assert.equal(await inPage(page, async () => (await import('/bff/client.js')).user()), null);
    await page.unroute('**/bff/user');
  });

  await t.test('api() rejects when another account has signed in, and onSessionEnd hears of it', async () => {
    await page.route('**/api/echo', (route) => route.fulfill({
      status: 409, contentType: 'application/problem+json',
      body: JSON.stringify({ type: 'urn:sealgate:problem:session-changed', code: 'session-changed', title: 'changed' }),
    }));
    const found = await inPage(page, async () => {
      const { api: call, onSessionEnd } = await import('/bff/client.js');
      const heard = [];
      const stop = onSessionEnd((end) => heard.push(end.reason));
      const refused = await call('/api/echo').catch((problem) => [problem.status, problem.code, problem instanceof Error]);
      stop();
      return [refused, heard];
    });
    assert.deepEqual(found, [[409, 'session-changed', true], ['replaced']]);
    await page.unroute('**/api/echo');
  });

  await t.test('api() leaves for the login that an answer asks for, and comes back to this page', async () => {
    for (const [code, address, asks] of [
      ['step-up-required', '/bff/login?max_age=300', { max_age: '300' }],
      ['device-proof-required', '/bff/login', {}],
    ]) {
      await page.route('**/api/echo', (route) => route.fulfill({
        status: 401, contentType: 'application/problem+json',
        body: JSON.stringify({ type: `urn:sealgate:problem:${code}`, code, login_url: address }),
      }));
      let asked;
      await page.route('**/bff/login?**', (route) => {
        asked = new URL(route.request().url());
        return route.fulfill({ status: 200, contentType: 'text/html', body: 'a login' });
      });
      await page.goto(`${origin}/?at=1#x`);
      await inPage(page, async () => {
        const { api: call } = await import('/bff/client.js');
        call('/api/echo');
      });
      await page.waitForURL((url) => url.pathname === '/bff/login');
      assert.deepEqual(Object.fromEntries(asked.searchParams), { ...asks, returnUrl: '/?at=1#x' }, code);
      await page.unroute('**/api/echo');
      await page.unroute('**/bff/login?**');
    }
  });

  await t.test('api() goes nowhere because an API says so', async () => {
    for (const address of ['https://evil.example/bff/login', 'javascript:alert(1)', '/elsewhere', '//evil.example/bff/login']) {
      await page.route('**/api/echo', (route) => route.fulfill({
        status: 401, contentType: 'application/problem+json',
        body: JSON.stringify({ type: 'urn:sealgate:problem:login-required', code: 'login-required', login_url: address }),
      }));
      const status = await inPage(page, async () => (await (await import('/bff/client.js')).api('/api/echo')).status);
      assert.equal(status, 401, address);
      assert.equal(new URL(page.url()).origin, origin);
      await page.unroute('**/api/echo');
    }
  });

  await t.test('onSessionEnd warns before the end, and again when an end that has moved comes near', async () => {
    // The first answer ends in two seconds; when these are over, the user has used the session and it ends two seconds later.
    let end = 1_000_002;
    await page.route('**/bff/session', (route) => {
      const state = { active: true, server_now: end - 2, session_ends_at: 2_000_000, idle_ends_at: end, claims: {} };
      end += 2;
      return route.fulfill({ json: state });
    });
    await inPage(page, async () => {
      const { onSessionEnd } = await import('/bff/client.js');
      globalThis.story.stop = onSessionEnd(({ reason, endsAt }) => globalThis.story.heard.push(`${reason} ${endsAt}`));
    });
    await eventually('two warnings', () => page.evaluate(() => globalThis.story.heard.length >= 2));
    const heard = await page.evaluate(() => { globalThis.story.stop(); return globalThis.story.heard; });
    assert.deepEqual(heard.slice(0, 2), ['ending 1000002', 'ending 1000004']);
    await page.unroute('**/bff/session');
  });

  await t.test('every tab hears of the end when one signs out', async () => {
    const other = await context.newPage();
    other.on('pageerror', (error) => errors.push(error.message));
    await other.goto(`${origin}/`);
    await inPage(other, async () => {
      const { connect, onSessionEnd } = await import('/bff/client.js');
      onSessionEnd(({ reason }) => globalThis.story.heard.push(reason));
      await new Promise((resolve) => { connect().addEventListener('open', resolve); });
    });
    await page.goto(`${origin}/`);
    await inPage(page, async () => {
      (await import('/bff/client.js')).logout();
    });
    await eventually('the end', () => other.evaluate(() => globalThis.story.heard.length > 0));
    assert.deepEqual(await other.evaluate(() => globalThis.story.heard), ['ended']);
    assert.equal(await inPage(other, async () => (await import('/bff/client.js')).user()), null);
  });

  assert.deepEqual(errors, []);
  await context.close();
  await assertCleanEnd(scene);
});
