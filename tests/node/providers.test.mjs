// One story at each of several providers, none of which is ours: sign in, refresh, restart, denial, ends, sign out.
//
// A provider is a file in `providers/`: how it is got, started and registered with, and what a person does on its pages. The app is on
// `localhost`, the provider on `127.0.0.1`: two sites.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { startApi } from './lib/api.mjs';
import { Browser } from './lib/browser.mjs';
import { leaks, logLines, received } from './lib/canary.mjs';
import { Jar } from './lib/jar.mjs';
import { freePorts } from './lib/ports.mjs';
import { startRedis } from './lib/redis.mjs';
import { binary, scratch, startSealgate, sweep, tail } from './lib/sealgate.mjs';
import { eventually } from './lib/waiting.mjs';
import { startCanaille } from './providers/canaille.mjs';
import { startDjango } from './providers/django.mjs';
import { startHydra } from './providers/hydra.mjs';
import { startSpring } from './providers/spring.mjs';

/** The shortest that counts; a session of it is refreshed a second ahead. */
const TOKEN_SECONDS = 6;
const CSRF = { 'x-csrf': '1' };

const PROVIDERS = {
  'Ory Hydra': startHydra,
  'Spring Authorization Server': startSpring,
  'django-oauth-toolkit': startDjango,
  Canaille: startCanaille,
};

for (const [name, start] of Object.entries(PROVIDERS)) test(name, { timeout: 1_800_000 }, async (t) => {
  const scene = await setScene(t, start);
  const { provider, origin, api, signIn, call, session } = scene;

  await t.test('the check finds nothing wrong', async () => {
    const { code, text } = await check(scene.sealgate.config);
    assert.equal(code, 0, text);
  });

  await t.test('the check names a wrong secret', async () => {
    const { code, text } = await check(await scene.changed('client-proof', () => 'another secret\n'));
    assert.notEqual(code, 0, text);
    assert.match(text, /client_secret/, text);
  });

  await t.test('the check names an unknown client', async () => {
    const { code, text } = await check(await scene.changed('sealgate.toml', (toml) => toml.replace(/^client_id .*$/m, 'client_id = "nobody"')));
    assert.notEqual(code, 0, text);
    assert.match(text, /client_id/, text);
  });

  await t.test('the check names a redirect URI that is not registered', async () => {
    const { code, text } = await check(await scene.changed('sealgate.toml', (toml) => toml.replace(/^origin .*$/m, 'origin = "http://localhost:9"')));
    // Who sends to its own pages what it has refused leaves nothing but a note to say.
    assert.equal(code, provider.hidesRefusals ? 0 : 1, text);
    assert.match(text, /http:\/\/localhost:9\/bff\/callback/, text);
  });

  await t.test('a person who denies comes back to the app', async () => {
    const browser = scene.newBrowser();
    await browser.open(`${origin}/bff/login?returnUrl=/bff/session`);
    const back = await provider.deny(browser);
    assert.equal(new URL(back.url).origin, origin, back.body);
    assert.equal((await session(browser)).active, false);
    const callback = back.hops.find(({ url }) => url.startsWith(`${origin}/bff/callback`));
    assert.equal(new URL(callback.url).searchParams.get('error'), 'access_denied');
    assert.match(scene.sealgate.output, /access_denied/);
  });

  await t.test('signs in; the API gets the access token; claims are known', async () => {
    const browser = await signIn();
    assert.equal((await call(browser)).status, 200);
    const { claims, refresh_possible: refreshes } = await session(browser);
    assert.equal(refreshes, true);
    assertClaims(claims, provider);
  });

  await t.test('refreshes when the token ends, and after a restart of sealgate', async () => {
    const browser = await signIn();
    for (let round = 0; round < 2; round += 1) {
      await call(browser);
      const before = api.last().token;
      await eventually('another token', async () => {
        assert.equal((await call(browser)).status, 200, tail(scene.sealgate.output));
        return api.last().token !== before;
      });
      assertClaims((await session(browser)).claims, provider);
      if (round === 0) await scene.restart();
    }
  });

  if (provider.endGrant) await t.test('a grant that ends at the provider ends the session at the next refresh', async () => {
    const browser = await signIn();
    await provider.endGrant(await session(browser));
    const over = await eventually('the end', async () => {
      const answer = await call(browser);
      return answer.status !== 200 && answer;
    });
    assert.deepEqual([over.status, JSON.parse(over.body).code], [401, 'login-required'], tail(scene.sealgate.output));
  });

  if (provider.endSingleSignOn) await t.test('the provider says that a session is over', async () => {
    const browser = await signIn();
    const before = scene.backchannels();
    await provider.endSingleSignOn((await session(browser)).claims);
    await eventually('the end', async () => (await call(browser)).status === 401, () => tail(scene.sealgate.output));
    assert.ok(scene.backchannels() > before, tail(scene.sealgate.output));
  });

  await t.test('signs out here and there, also after a refresh', async () => {
    const browser = await signIn();
    await call(browser);
    const first = api.last().token;
    await eventually('another token', async () => {
      await call(browser);
      return api.last().token !== first;
    });
    const { token } = api.last();
    const user = JSON.parse((await browser.fetch('/bff/user', { headers: CSRF })).body);
    let back = await browser.click(`${user.find(({ type }) => type === 'bff:logout_url').value}&returnUrl=/?bye`);
    assert.ok(back.hops.some(({ url }) => url.startsWith(provider.endSession)), 'the provider is asked');
    if (provider.signOut) back = await provider.signOut(browser);
    assert.equal(back.url, `${origin}/?bye`, back.body);
    assert.equal((await call(browser)).status, 401);
    const answer = await fetch(provider.userinfo, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 401, 'revoked');
    await browser.open(`${origin}/bff/login`);
    assert.notEqual(browser.url.origin, origin, 'the provider asks again');
  });

  await t.test('nothing that it issued reached a browser or a log', async () => {
    const secrets = api.received.map(({ token }) => token).filter(Boolean).map((value) => ({ what: 'an access token', value }));
    assert.ok(secrets.length > 4, 'there is something to search for');
    const answers = scene.browsers.flatMap((browser) => browser.answers);
    assert.deepEqual(leaks(received(answers, origin, provider.endSession), secrets), []);
    const all = [...secrets, { what: 'the client secret', value: provider.clientSecret }];
    assert.deepEqual(await scene.sealgate.stop(), { code: 0, signal: null }, tail(scene.sealgate.output));
    for (const log of scene.logs()) {
      assert.deepEqual(leaks(logLines(log), all), []);
      assert.doesNotMatch(log, /panicked at/);
    }
  });
});

/** What the provider says of its user has arrived. */
function assertClaims(claims, provider) {
  for (const [name, value] of Object.entries(provider.claims)) assert.equal(claims[name], value, `${name} of ${JSON.stringify(claims)}`);
}

/** `sealgate --check --online`: its exit code and everything it says. */
function check(config) {
  return new Promise((resolve) => {
    execFile(binary(), ['--check', '--online', '-c', config], (error, stdout, stderr) => resolve({ code: error ? error.code : 0, text: stdout + stderr }));
  });
}

/** A provider, a store, an API and a sealgate; all end with the test. */
async function setScene(t, start) {
  const dir = await scratch();
  t.after(() => sweep(dir));
  const [port, adminPort] = await freePorts(2);
  const origin = `http://localhost:${port}`;
  const client = {
    redirectUri: `${origin}/bff/callback`, postLogoutUri: `${origin}/bff/logged-out`, backchannelUri: `${origin}/bff/backchannel`,
  };
  const provider = await start(t, { dir, client, tokenSeconds: TOKEN_SECONDS });
  const store = await startRedis({ dir });
  t.after(() => store.stop());
  const api = await startApi();
  t.after(() => api.stop());
  const options = {
    dir, origin, port, adminPort, op: provider, api, oidc: provider.oidc,
    session: { claims: ['sub', 'name', 'sid'] },
    tables: store.table('prefix = "stories"') + (provider.tables ?? ''),
  };
  const scene = { provider, origin, api, browsers: [], sealgate: await startSealgate(options) };
  t.after(() => scene.sealgate.stop());

  const ended = [];
  scene.restart = async () => {
    await scene.sealgate.stop();
    ended.push(scene.sealgate.output);
    scene.sealgate = await startSealgate({ ...options, keysDir: join(dir, 'keys') });
  };
  scene.logs = () => [...ended, scene.sealgate.output];
  scene.newBrowser = () => {
    const browser = new Browser({ jar: new Jar({ trusts: ['127.0.0.1'] }) });
    t.after(() => browser.close());
    scene.browsers.push(browser);
    return browser;
  };
  scene.call = (browser) => browser.fetch('/api/echo/x', { headers: CSRF, page: new URL(origin) });
  scene.session = async (browser) => JSON.parse((await browser.fetch('/bff/session', { headers: CSRF, page: new URL(origin) })).body);
  scene.signIn = async () => {
    const browser = scene.newBrowser();
    await browser.open(`${origin}/bff/login?returnUrl=/bff/session`);
    await provider.signIn(browser);
    assert.equal(browser.url.origin, origin, `${browser.url}\n${browser.page}`);
    assert.equal((await scene.session(browser)).active, true, `${browser.page}\n${tail(scene.sealgate.output)}`);
    return browser;
  };
  scene.backchannels = () => scene.sealgate.output.split('\n').filter((line) => line.includes('/bff/backchannel')).length;
  /** The path of a configuration like the running one, in which one file of `dir` is another. */
  scene.changed = async (file, change) => {
    const other = await scratch();
    t.after(() => sweep(other));
    for (const name of ['client-proof', 'sealgate.toml', 'store-url']) {
      const text = (await readFile(join(dir, name), 'utf8')).replaceAll(join(dir, 'client-proof'), join(other, 'client-proof'));
      await writeFile(join(other, name), name === file ? change(text) : text, { mode: 0o600 });
    }
    return join(other, 'sealgate.toml');
  };
  return scene;
}
