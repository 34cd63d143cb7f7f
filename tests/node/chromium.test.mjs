// The story in a real browser: TLS, real cookie names, an identity provider on another site.
//
// What a script or a cookie jar of ours cannot prove: that Chromium takes these cookies, keeps them from scripts, and
// sends `SameSite=Strict` ones when it should. It also plays the attackers: another site, and another origin of this one.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { test } from 'node:test';

import { callFrom, openProfile, startChromium } from './lib/chromium.mjs';
import { kindOf } from './lib/cookies.mjs';
import { ACCOUNT } from './lib/op.mjs';
import { assertCleanEnd, assertNothingLeaked, refreshes, setScene } from './lib/scene.mjs';
import { request } from './lib/sealgate.mjs';

test('a person in Chromium', async (t) => {
  const browser = await startChromium(t);
  const scene = await setScene(t, { tls: true, provider: { accessTokens: 'jwt' } });
  const { origin, op, api, names } = scene;
  const { context, answers, settled } = await openProfile(browser);
  const page = await context.newPage();
  const violations = [];
  page.on('console', (message) => { if (message.type() === 'error' && page.url().startsWith(origin)) violations.push(message.text()); });
  page.on('pageerror', (error) => violations.push(error.message));

  let broken;
  /** Each step stands on the one before; after a failure the others would only run into their time limits. */
  const step = (name, run) => t.test(name, async (t) => {
    if (broken) throw new Error(`not tried, because "${broken}" failed`);
    await run(t).catch((error) => {
      broken = name;
      throw error;
    });
  });
  const ready = () => page.waitForSelector('body[data-ready=yes]');
  const who = () => page.textContent('#who');
  const kinds = (cookies) => [...new Set(cookies.map(({ name }) => kindOf(names, name) ?? `unknown ${name}`))].sort();
  const ours = async () => (await context.cookies()).filter(({ domain }) => domain === 'localhost');
  const callApi = async () => {
    await page.click('#call');
    await page.waitForFunction(() => /^\d{3} /.test(document.getElementById('answer').textContent));
    return page.textContent('#answer');
  };

  await step('signs in by clicking', async () => {
    await page.goto(`${origin}/`);
    await ready();
    assert.equal(await who(), 'nobody');
    assert.match(await callFrom(page, '/api/echo/x'), /^401 .*login-required/);
    assert.equal(api.received.length, 0);
    await page.click('#login');
    await page.waitForURL(`${op.issuer}/**`);
    await page.fill('input[name=login]', 'ada');
    await page.fill('input[name=password]', 'any');
    await page.click('button[type=submit]');
    await page.click('text=Continue');
    await page.waitForURL(`${origin}/?welcome`);
    await ready();
    assert.equal(await who(), ACCOUNT.name);
  });

  await step('calls the API; scripts see neither cookies nor tokens', async () => {
    assert.match(await callApi(), /^200 .*"accepted":true/);
    assert.equal(api.last().token, op.newest().access_token);
    assert.equal(api.last().headers.cookie, undefined);
    assert.equal(await page.evaluate(() => document.cookie), '');
    assert.deepEqual(await page.evaluate(() => [{ ...localStorage }, { ...sessionStorage }]), [{}, {}]);
    assert.equal(await page.evaluate(() => globalThis.cookieStore?.getAll().then((all) => all.length) ?? 0), 0);
  });

  await step('gets HTTP/2 for the page and for the API', async () => {
    const protocols = await page.evaluate(() => ['navigation', 'resource'].map((type) => (
      performance.getEntriesByType(type).findLast(({ name }) => type === 'navigation' || name.includes('/api/')).nextHopProtocol)));
    assert.deepEqual(protocols, ['h2', 'h2']);
  });

  await step('holds cookies of the documented names and attributes', async () => {
    const cookies = await ours();
    assert.ok(kinds(cookies).includes('session') && kinds(cookies).includes('hint'), kinds(cookies));
    assert.ok(!kinds(cookies).includes('login'), 'the login cookie is gone');
    assert.ok(cookies.some(({ name }) => name === '__Host-Http-shop'));
    for (const { name, httpOnly, secure, sameSite, path } of cookies) {
      const kind = kindOf(names, name);
      assert.ok(kind, name);
      assert.deepEqual({ httpOnly, secure }, { httpOnly: true, secure: true }, name);
      assert.equal(path, kind === 'hint' ? '/bff/logout' : '/', name);
      if (kind !== 'hint') assert.equal(sameSite, 'Strict', name);
    }
  });

  await step('stays signed in over a reload and in a new tab', async () => {
    await page.reload();
    await ready();
    assert.equal(await who(), ACCOUNT.name);
    const tab = await context.newPage();
    await tab.goto(`${origin}/deep/link`);
    await tab.waitForSelector('body[data-ready=yes]');
    assert.equal(await tab.textContent('#who'), ACCOUNT.name);
    await tab.close();
  });

  // P07: the provider's answer comes again, by Back and its form once more. `Strict` cookies do not come along from there.
  await step('ends at its page again when the answer of the login comes again', async () => {
    await settled();
    const { url: callback } = answers.findLast(({ url }) => url.startsWith(`${origin}/bff/callback`));
    await page.goto(`${op.issuer}/.well-known/openid-configuration`);
    await Promise.all([
      page.waitForURL(`${origin}/?welcome`),
      page.evaluate((address) => { location.href = address; }, callback),
    ]);
    await ready();
    assert.equal(await who(), ACCOUNT.name);
    await settled();
    const again = answers.filter(({ url }) => url.startsWith(`${origin}/bff/callback`)).slice(-2);
    const seen = again.map(({ status, sentCookie }) => `${status} ${sentCookie.includes('__Host-Http-shop=')}`).sort();
    assert.deepEqual(seen, ['303 true', '400 false'], 'a page that shows no session, and the redirect of one that does');
  });

  await step('is safe from another site, and from another origin of the same site', async (t) => {
    const elsewhere = await attackers(t, scene.certificate);
    for (const { name, url, cookiesCome } of [
      { name: 'another site', url: elsewhere.site, cookiesCome: false },
      { name: 'another origin', url: elsewhere.origin, cookiesCome: true },
    ]) {
      const before = api.received.length;
      const refusedBefore = await refused(scene);
      await settled();
      const seen = answers.length;
      const evil = await context.newPage();
      await evil.goto(url);
      await evil.evaluate(async (target) => {
        const tries = [
          { mode: 'no-cors' },
          { mode: 'no-cors', method: 'POST', body: 'x' },
          { mode: 'cors' },
          { mode: 'cors', headers: { 'X-CSRF': '1' } },
          { mode: 'cors', method: 'DELETE', headers: { 'X-CSRF': '1' } },
        ];
        for (const options of tries) {
          await fetch(`${target}/api/echo/forged`, { credentials: 'include', ...options }).catch(() => {});
        }
        await new Promise((done) => {
          const image = new Image();
          image.onload = done;
          image.onerror = done;
          image.src = `${target}/api/echo/forged-image`;
        });
      }, origin);
      assert.equal(await evil.evaluate(() => document.cookie), '');
      await settled();
      await evil.close();
      // What needs no script: a form, and a link (which `SameSite=Lax` would let through).
      for (const [way, html] of [
        ['form', `<form method="post" action="${origin}/api/echo/forged-form"><button>win</button></form>`],
        ['link', `<a href="${origin}/api/echo/forged-link"><button>win</button></a>`],
      ]) {
        const tab = await context.newPage();
        await tab.goto(url);
        await tab.setContent(html);
        await Promise.all([tab.waitForURL(`${origin}/api/echo/forged-${way}`), tab.click('button')]);
        await settled();
        await tab.close();
      }
      await settled();
      const forged = answers.slice(seen).filter((answer) => /\/api\/echo\/forged/.test(answer.url));
      // Chromium hides from its tools what CORS or the resource policy blocked, so sealgate itself says how many it
      // turned away: three fetches, the image, the form, the link; of the two that need a preflight only that comes.
      assert.ok(await refused(scene) - refusedBefore >= 6, `${name}: the requests reached sealgate, and were refused`);
      assert.ok(forged.length >= 2, `${name}: ${forged.map(({ method, url: at }) => `${method} ${at}`)}`);
      for (const answer of forged) {
        const what = `${name}: ${answer.method} ${answer.url}`;
        // A preflight is answered, but with nothing that would let the request itself go.
        if (answer.method !== 'OPTIONS') assert.equal(answer.status, 403, what);
        assert.equal(answer.headers['access-control-allow-origin'], undefined, what);
      }
      assert.equal(forged.some(({ sentCookie }) => sentCookie.includes('__Host-Http-shop')), cookiesCome,
        `${name}: whether Chromium sent the session along`);
      assert.equal(api.received.length, before, `${name}: the API was not asked`);
    }
    await page.reload();
    await ready();
    assert.equal(await who(), ACCOUNT.name, 'and nobody was signed out');
  });

  await step('signs out by clicking, also at the provider', async () => {
    const { refresh_token: token } = op.newest();
    await page.click('#logout');
    await page.waitForURL(`${op.issuer}/**`);
    assert.equal(await op.refreshTokenLives(token), false, 'revoked');
    await page.click('text=Yes, sign me out');
    await page.waitForURL(`${origin}/`);
    await ready();
    assert.equal(await who(), 'nobody');
    assert.match(await callFrom(page, '/api/echo/x'), /^401 .*login-required/);
    assert.deepEqual(kinds(await ours()).filter((kind) => kind !== 'out'), []);
    await page.click('#login');
    await page.waitForSelector('input[name=login]');
  });

  await step('cannot be given a session by a script', async () => {
    await page.goto(`${origin}/`);
    await ready();
    await page.evaluate(() => {
      document.cookie = '__Host-Http-shop=planted; Secure; Path=/';
      document.cookie = '__Host-Http-shop.1=planted; Secure; Path=/; SameSite=Strict';
    });
    assert.equal(await page.evaluate(() => document.cookie), '');
    assert.ok(!kinds(await ours()).includes('session'), 'Chromium keeps the prefix for HTTP');
  });

  await step('leaves no trace of a token in what it received, nor in the log', async () => {
    await settled();
    assert.deepEqual(refreshes(op), []);
    const unexpected = violations.filter((text) => !/status of (401|400)/.test(text));
    assert.deepEqual(unexpected, [], 'no script error, no breach of the content security policy');
    await assertNothingLeaked(scene, answers);
    await assertCleanEnd(scene);
  });
});

// Finding G, Duende BFF#45: the policy of the app's own pages must let the frame through the provider. Provider and app are
// of one site here, because Chromium keeps the provider's cookies from frames of other sites.
test('a silent login in a frame', async (t) => {
  const browser = await startChromium(t);
  const scene = await setScene(t, { provider: { host: 'localhost' } });
  const { origin, op } = scene;
  const { context } = await openProfile(browser);
  const page = await context.newPage();
  const silently = (path) => page.evaluate((src) => new Promise((done) => {
    const frame = document.createElement('iframe');
    const over = (outcome) => {
      clearTimeout(patience);
      frame.remove();
      done(outcome);
    };
    const patience = setTimeout(() => over({ source: 'nobody' }), 60_000);
    addEventListener('message', ({ origin: from, data }) => over({ ...data, isOurs: from === location.origin }), { once: true });
    frame.src = src;
    document.body.append(frame);
  }), path);
  const paths = ['/bff/silent-login', '/bff/login?prompt=none&returnUrl=%2Felsewhere'];

  await page.goto(`${origin}/`);
  await page.waitForSelector('body[data-ready=yes]');
  for (const path of paths) {
    assert.deepEqual(await silently(path), { source: 'bff-silent-login', isLoggedIn: false, isOurs: true }, path);
  }
  await page.click('#login');
  await page.waitForURL(`${op.issuer}/**`);
  await page.fill('input[name=login]', 'ada');
  await page.fill('input[name=password]', 'any');
  await page.click('button[type=submit]');
  await page.click('text=Continue');
  await page.waitForURL(`${origin}/?welcome`);
  for (const path of paths) {
    // As an app whose session is over, while the provider still knows the person.
    await context.clearCookies({ name: /^sealgate-/ });
    assert.deepEqual(await silently(path), { source: 'bff-silent-login', isLoggedIn: true, isOurs: true }, path);
    await page.reload();
    await page.waitForSelector('body[data-ready=yes]');
    assert.equal(await page.textContent('#who'), ACCOUNT.name, path);
  }
  await assertCleanEnd(scene);
});

/** How many requests sealgate has refused as cross-site, by its metrics. */
async function refused({ sealgate }) {
  const { body } = await request(`${sealgate.admin}/metrics`);
  const counts = body.split('\n')
    .filter((line) => /^sealgate_requests_total\{.*outcome="cross-site-request"/.test(line))
    .map((line) => Number(line.split(' ')[1]));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Two pages that mean no good: on another site, and on another port of this one. */
async function attackers(t, { cert, key }) {
  const serve = (_req, res) => res.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>evil</title>');
  const plain = createServer(serve).listen(0, '127.0.0.1');
  const tls = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }, serve).listen(0, '127.0.0.1');
  await Promise.all([once(plain, 'listening'), once(tls, 'listening')]);
  t.after(() => {
    for (const server of [plain, tls]) {
      server.closeAllConnections();
      server.close();
    }
  });
  return {
    site: `http://127.0.0.1:${plain.address().port}/`,
    origin: `https://localhost:${tls.address().port}/`,
  };
}
