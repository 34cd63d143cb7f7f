// Apps without a cookie jar: a library that we did not write signs in from the metadata alone, and an app of a hundred lines
// signs in through the system browser.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import * as oauth from 'oauth4webapi';

import { Browser } from './lib/browser.mjs';
import { leaks, logLines } from './lib/canary.mjs';
import { passSignIn } from './lib/person.mjs';
import { assertCleanEnd, setScene } from './lib/scene.mjs';

const REDIRECT_URI = 'http://127.0.0.1:9/cb';
const INSECURE = { [oauth.allowInsecureRequests]: true };

const NATIVE = `
[frontend.shop.native]
redirect_uris = ["http://127.0.0.1/cb", "com.example.shop:/cb"]
`;

/** Signs in at the provider, up to the address that is the app's. */
async function signInWith(browser, op, address, redirectUri) {
  browser.leavesTo = redirectUri;
  let last = await browser.open(address);
  if (browser.url.origin === op.issuer) last = await passSignIn(browser, op);
  return new URL(last.headers.location);
}

/** Nothing that the provider minted is in what the app got, or in the log. */
function assertNothingLeaked({ op, sealgate }, texts) {
  assert.ok(op.secrets.length > 3, 'there is something to search for');
  assert.deepEqual(leaks(texts.map((text) => ({ where: 'the app', text })), op.secrets), []);
  assert.deepEqual(leaks(logLines(sealgate.output), [...op.secrets, ...op.codes]), [], 'secrets in the log');
}

for (const accessTokens of ['opaque', 'jwt']) {
  test(`oauth4webapi signs in from the metadata alone, with ${accessTokens} access tokens`, async (t) => {
    const scene = await setScene(t, {
      tables: NATIVE, provider: { accessTokens, defaultResource: accessTokens === 'jwt' },
    });
    const { origin, op, api, browser } = scene;
    const issuer = new URL(`${origin}/bff/native`);
    const client = { client_id: 'shop' };
    const received = [];

    const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...INSECURE });
    const as = await oauth.processDiscoveryResponse(issuer, discovered);
    const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));

    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    const address = new URL(as.authorization_endpoint);
    for (const [name, value] of Object.entries({
      client_id: client.client_id,
      redirect_uri: REDIRECT_URI,
      response_type: 'code',
      scope: 'openid profile',
      state,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      dpop_jkt: await DPoP.calculateThumbprint(),
    })) address.searchParams.set(name, value);
    const back = await signInWith(browser, op, address.href, REDIRECT_URI);
    const params = oauth.validateAuthResponse(as, client, back, state);

    const again = async (ask) => {
      try {
        return await ask();
      } catch (error) {
        if (!oauth.isDPoPNonceError(error)) throw error;
        return ask();
      }
    };
    const first = await again(async () => oauth.processAuthorizationCodeResponse(as, client, await oauth.authorizationCodeGrantRequest(
      as, client, oauth.None(), params, REDIRECT_URI, verifier, { DPoP, ...INSECURE },
    )));
    received.push(JSON.stringify(first));
    assert.equal(first.token_type, 'dpop');

    const call = (token) => again(() => oauth.protectedResourceRequest(
      token, 'GET', new URL(`${origin}/api/echo/7?x=1`), undefined, undefined, { DPoP, ...INSECURE },
    ));
    const answer = await call(first.access_token);
    assert.equal(answer.status, 200);
    received.push(await answer.text());
    const { headers, token } = api.last();
    assert.ok(await op.accessTokenLives(token), 'the API gets the provider\'s token');
    assert.equal(headers.dpop, undefined);

    const second = await again(async () => oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(
      as, client, oauth.None(), first.refresh_token, { DPoP, ...INSECURE },
    )));
    received.push(JSON.stringify(second));
    assert.equal((await call(second.access_token)).status, 200);

    await oauth.processRevocationResponse(
      await oauth.revocationRequest(as, client, oauth.None(), second.refresh_token, INSECURE),
    );
    await assert.rejects(call(second.access_token), (error) => {
      const [{ scheme, parameters }] = error.cause;
      assert.deepEqual([scheme, parameters.error], ['dpop', 'invalid_token']);
      return true;
    });
    await assert.rejects(again(async () => oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(
      as, client, oauth.None(), second.refresh_token, { DPoP, ...INSECURE },
    ))), (error) => error.error === 'invalid_grant');

    assertNothingLeaked(scene, received);
    await assertCleanEnd(scene);
  });
}

test('an app of a hundred lines signs in through the system browser', async (t) => {
  const scene = await setScene(t, { tables: NATIVE });
  const { origin, op } = scene;
  const app = fileURLToPath(new URL('cli/app.mjs', import.meta.url));
  const child = spawn(process.execPath, [app, `${origin}/bff/native`, 'shop', `${origin}/api/echo/cli`], {
    env: { PATH: process.env.PATH, BROWSER: 'true' }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill());
  const gone = once(child, 'close');
  let [output, said] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => { output += text; });
  const address = new Promise((resolve, reject) => {
    child.on('close', () => reject(new Error(`the app asked for no login: ${said}`)));
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
      const found = said.match(/Sign in here: (\S+)\n/);
      if (found) resolve(found[1]);
    });
  });
  // The system browser is another one than that of the frontend.
  const browser = new Browser();
  t.after(() => browser.close());
  await browser.open(await address);
  const page = await passSignIn(browser, op);
  assert.match(page.body, /You may close this window/);
  const [code] = await gone;
  assert.equal(code, 0, said);
  assert.match(JSON.parse(output).url ?? output, /cli/);
  assert.equal(op.tokenCalls('authorization_code').length, 1);
  assertNothingLeaked(scene, [output, said]);
  await assertCleanEnd(scene);
});
