// The provider behaves as the stories assume: proved with a relying party of a few lines, without sealgate.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { test } from 'node:test';

import { Browser } from './lib/browser.mjs';
import { API_SCOPE, jwtPart, RESOURCE, startOp } from './lib/op.mjs';
import { passSignIn, passSignOut } from './lib/person.mjs';
import { POLICIES } from './lib/rotation.mjs';
import { eventually } from './lib/waiting.mjs';

const SCOPE = `openid profile email ${API_SCOPE}`;

for (const { name, accessTokens, resource } of [
  { name: 'opaque access tokens', accessTokens: 'opaque' },
  { name: 'JWT access tokens from a default resource', accessTokens: 'jwt' },
  { name: 'JWT access tokens by a resource parameter', accessTokens: 'jwt', resource: RESOURCE },
]) {
  test(`the provider with ${name}`, async (t) => {
    const rp = await relyingParty(t, { accessTokens, defaultResource: !resource && accessTokens === 'jwt' });
    const { op } = rp;
    const first = await rp.signIn({ resource });

    await t.test('gives an access token of the right kind, and claims in the ID token', async () => {
      assert.equal(Boolean(jwtPart(first.access_token, 1)), accessTokens === 'jwt');
      assert.ok(await op.accessTokenLives(first.access_token));
      const claims = jwtPart(first.id_token, 1);
      assert.deepEqual(
        [claims.sub, claims.name, claims.email, claims.nonce],
        ['ada', 'Ada Lovelace', 'ada@example.org', rp.nonce],
      );
      assert.ok(first.scope.split(' ').includes(API_SCOPE), first.scope);
      assert.equal(first.expires_in, 300);
    });

    await t.test('rotates refresh tokens, with short-lived access tokens when told so', async () => {
      op.accessTokenSeconds = 1;
      const second = (await rp.post('/token', { grant_type: 'refresh_token', refresh_token: first.refresh_token })).json;
      assert.equal(second.expires_in, 1);
      assert.notEqual(second.refresh_token, first.refresh_token);
      assert.notEqual(second.access_token, first.access_token);
      assert.deepEqual(op.newest(), second);
      await eventually('it has expired', async () => !await op.accessTokenLives(second.access_token));
      op.accessTokenSeconds = 300;
    });

    await t.test('ends a token family when a spent refresh token comes again', async () => {
      const { refresh_token: current } = op.newest();
      assert.ok(await op.refreshTokenLives(current));
      const again = await rp.post('/token', { grant_type: 'refresh_token', refresh_token: first.refresh_token });
      assert.deepEqual([again.status, again.json.error], [400, 'invalid_grant']);
      assert.equal(await op.refreshTokenLives(current), false);
    });

    await t.test('revokes', async () => {
      const { refresh_token: fresh } = await rp.signIn({ resource });
      assert.ok(await op.refreshTokenLives(fresh));
      const { status } = await rp.post('/token/revocation', { token: fresh, token_type_hint: 'refresh_token' });
      assert.equal(status, 200);
      assert.equal(await op.refreshTokenLives(fresh), false);
    });

    await t.test('signs out at the relying party\'s wish and sends the browser back with the state', async () => {
      const { id_token: hint } = op.newest();
      const query = new URLSearchParams({
        id_token_hint: hint, client_id: 'shop', state: 'xyz', post_logout_redirect_uri: `${rp.origin}/bff/logged-out`,
      });
      await rp.browser.open(`${op.issuer}/session/end?${query}`);
      const back = await passSignOut(rp.browser, op);
      assert.equal(back.url, `${rp.origin}/bff/logged-out?state=xyz`);
      await rp.browser.open(rp.authorizationUrl({ resource }));
      assert.match(rp.browser.page, /value="login"/, 'the provider asks for a login again');
    });

    await t.test('has counted and written down all of it', () => {
      assert.equal(op.tokenCalls('authorization_code').length, 2);
      assert.equal(op.tokenCalls('refresh_token').length, 2);
      assert.equal(op.secrets.length, 1 + 3 * 3, 'client secret, and three tokens in each of three good answers');
      assert.equal(op.codes.length, 2);
    });
  });
}

// What each policy promises: which of nine parallel calls with one refresh token are answered, and what happens to a
// token that is presented in turn. Numbers are generations: 0 is the login's, 1 came of 0; "1b" is its second child.
const PARALLEL = 9;
/** Seconds that the stories below have let pass; how long their steps take does not matter. */
let passed = 0;
const inStory = () => passed * 1000;
for (const { policy, parallel, story } of [
  { policy: POLICIES.reuse, parallel: PARALLEL, story: [['0', '0'], ['0', '0'], ['0', '0']] },
  { policy: POLICIES.strict, parallel: 1, story: [['0', '1'], ['0', 'no'], ['1', '2'], ['0', 'no'], ['2', '3']] },
  { policy: POLICIES.family, parallel: 1, story: [['0', '1'], ['0', 'no'], ['1', 'no']] },
  // The family dies with the second-to-last token, which the leeway is not for.
  { policy: POLICIES.leeway(30), parallel: PARALLEL, story: [['0', '1'], ['0', '1b'], ['1b', '2'], ['1', '2b'], ['2b', '3'], ['1', 'no'], ['3', 'no']] },
  { policy: POLICIES.leeway(1, inStory), parallel: PARALLEL, story: [['0', '1'], ['0', '1b'], ['1', '2'], 'two seconds', ['2', '3'], ['1', 'no'], ['3', 'no']] },
  { policy: POLICIES.leeway(1, inStory), parallel: PARALLEL, story: [['0', '1'], 'two seconds', ['0', 'no'], ['1', 'no']] },
  { policy: POLICIES.count(0), parallel: 1, story: [['0', '1'], ['1', '2'], ['0', 'no'], ['2', 'no']] },
  { policy: POLICIES.count(1), parallel: 2, story: [['0', '1'], ['0', '1b'], ['1b', '2'], ['1b', '2b'], ['1b', 'no'], ['2', 'no']] },
  { policy: POLICIES.count(1), parallel: 2, story: [['0', '1'], ['0', '1b'], ['1', '2'], ['1b', 'no'], ['2', 'no']] },
]) {
  test(`the provider with "${policy.name}": ${story.map((step) => (Array.isArray(step) ? step.join('→') : step)).join(', ')}`, async (t) => {
    const rp = await relyingParty(t, { rotation: () => policy });
    const refresh = (token) => rp.post('/token', { grant_type: 'refresh_token', refresh_token: token });
    const tokens = new Map([['0', (await rp.signIn({})).refresh_token]]);
    for (const step of story) {
      if (step === 'two seconds') {
        passed += 2;
        continue;
      }
      const [presented, wanted] = step;
      const { status, json } = await refresh(tokens.get(presented));
      if (wanted === 'no') {
        assert.deepEqual([status, json.error], [400, 'invalid_grant'], `${presented} → ${wanted}`);
      } else {
        assert.equal(status, 200, `${presented} → ${wanted}: ${json.error_description}`);
        if (tokens.has(wanted)) assert.equal(json.refresh_token, tokens.get(wanted));
        else assert.ok(![...tokens.values()].includes(json.refresh_token), 'another one');
        tokens.set(wanted, json.refresh_token);
      }
    }
    const { refresh_token: another } = await rp.signIn({});
    const answers = await Promise.all(Array.from({ length: PARALLEL }, () => refresh(another)));
    assert.equal(answers.filter(({ status }) => status === 200).length, parallel);
    assert.ok(answers.every(({ status, json }) => status === 200 || json.error === 'invalid_grant'));
  });
}

test('the provider refuses a request without PKCE', async (t) => {
  const rp = await relyingParty(t, {});
  const url = new URL(rp.authorizationUrl({}));
  url.searchParams.delete('code_challenge');
  await rp.browser.open(url);
  assert.match(rp.browser.url.href, /error=invalid_request/);
});

/** A browser, a provider, and an application that does no more than receive redirects. */
async function relyingParty(t, options) {
  const server = createServer((_req, res) => res.end('application')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://localhost:${server.address().port}`;
  const op = await startOp({ origin, ...options });
  const browser = new Browser();
  t.after(() => {
    browser.close();
    server.closeAllConnections();
    server.close();
    return op.stop();
  });

  const rp = { op, origin, browser, nonce: randomBytes(16).toString('base64url') };
  const verifier = randomBytes(32).toString('base64url');
  const redirectUri = `${origin}/bff/callback`;
  rp.authorizationUrl = ({ resource }) => `${op.issuer}/auth?${new URLSearchParams({
    client_id: op.clientId,
    response_type: 'code',
    redirect_uri: redirectUri,
    scope: SCOPE,
    state: 'some-state',
    nonce: rp.nonce,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...(resource ? { resource } : {}),
  })}`;
  rp.post = (path, form) => post(`${op.issuer}${path}`, form, op);
  rp.signIn = async ({ resource }) => {
    await browser.open(rp.authorizationUrl({ resource }));
    await passSignIn(browser, op);
    const { searchParams } = browser.url;
    assert.equal(searchParams.get('iss'), op.issuer, 'RFC 9207');
    assert.equal(searchParams.get('state'), 'some-state');
    const answer = await rp.post('/token', {
      grant_type: 'authorization_code', code: searchParams.get('code'), redirect_uri: redirectUri, code_verifier: verifier,
      ...(resource ? { resource } : {}),
    });
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
  };
  return rp;
}

function post(url, form, { clientId, clientSecret }) {
  return new Promise((resolve, reject) => {
    const body = new URLSearchParams(form).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) };
    const req = request(url, { method: 'POST', agent: false, auth: `${clientId}:${clientSecret}`, headers }, async (res) => {
      let text = '';
      for await (const chunk of res.setEncoding('utf8')) text += chunk;
      resolve({ status: res.statusCode, text, json: text.startsWith('{') ? JSON.parse(text) : undefined });
    });
    req.on('error', reject).end(body);
  });
}
