// A certified provider in the forms that some demand: clients that show a certificate (RFC 8705), signed requests (RFC 9101), and
// answers that are signed (JARM) or posted. Each of them signs in, calls the API, refreshes and signs out.
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { jwtPart } from './lib/op.mjs';
import { passSignIn, passSignOut } from './lib/person.mjs';
import { assertCleanEnd, assertNothingLeaked, setScene } from './lib/scene.mjs';
import { scratch, sweep, tail } from './lib/sealgate.mjs';
import { makeCertificate } from './lib/tls.mjs';

const CSRF = { 'x-csrf': '1' };
const NAME = 'client of the story';

const REQUESTS = { requestObjects: { enabled: true } };
const ANSWERS = { jwtResponseModes: { enabled: true } };
/** A client that signs its requests. The provider refuses others. */
const signs = (more) => () => ({ request_object_signing_alg: 'ES256', require_signed_request_object: true, ...more });

/** What is registered and configured, and what must be seen of it; `saw` is given the addresses and the answers of a login. */
const FORMS = {
  'signed answers': {
    provider: { features: ANSWERS, client: () => ({ authorization_signed_response_alg: 'RS256' }) },
    oidc: { response_mode: 'jwt' },
    saw: ({ back }) => {
      assert.deepEqual([...back.searchParams.keys()], ['response']);
      assert.deepEqual(Object.keys(jwtPart(back.searchParams.get('response'), 1)).sort(), ['aud', 'code', 'exp', 'iss', 'state']);
    },
  },
  'posted answers': {
    // Such a cookie must be `Secure`.
    tls: true,
    oidc: { response_mode: 'form_post' },
    saw: ({ back, method }) => assert.deepEqual([method, back.search], ['POST', '']),
  },
  'signed requests': {
    provider: { features: REQUESTS, hasKey: true, client: signs({ require_pushed_authorization_requests: false }) },
    oidc: { request_object: true, par: 'never' },
    saw: ({ asked }) => {
      // OpenID Connect Core §6.1 wants these three beside it.
      assert.deepEqual([...asked.searchParams.keys()].sort(), ['client_id', 'request', 'response_type', 'scope']);
      assert.equal(jwtPart(asked.searchParams.get('request'), 0).alg, 'ES256');
    },
  },
  'signed requests that are pushed, and signed answers': {
    provider: { features: { ...REQUESTS, ...ANSWERS }, hasKey: true, client: signs({ authorization_signed_response_alg: 'RS256' }) },
    oidc: { request_object: true, response_mode: 'jwt', par: 'always' },
    saw: ({ asked, back }) => {
      assert.deepEqual([...asked.searchParams.keys()].sort(), ['client_id', 'request_uri']);
      assert.deepEqual([...back.searchParams.keys()], ['response']);
    },
  },
  'a certificate that is registered by its name': certificate('tls_client_auth', { tls_client_auth_subject_dn: `CN=${NAME}` }),
  'a certificate that nobody vouches for': certificate('self_signed_tls_client_auth', {}),
};

/** The provider speaks TLS, and knows no secret of the client. */
function certificate(method, registered) {
  const shown = (ctx) => {
    const { raw } = ctx.req.socket.getPeerCertificate();
    return raw && new X509Certificate(raw);
  };
  return {
    files: (dir) => {
      const [server, client] = [
        // An authority's certificate is refused as a server's.
        makeCertificate(dir, { isAuthority: false }), makeCertificate(dir, { name: 'client', commonName: NAME }),
      ];
      const known = new X509Certificate(client.pem);
      return {
        trusted: server,
        provider: {
          tls: { cert: server.pem, key: readFileSync(server.key, 'utf8') },
          hasSecret: false,
          client: (own) => ({
            token_endpoint_auth_method: method, tls_client_certificate_bound_access_tokens: true, ...registered,
            ...(method === 'self_signed_tls_client_auth' ? { jwks_uri: `${own}/jwks` } : {}),
          }),
          features: {
            mTLS: {
              enabled: true,
              certificateBoundAccessTokens: true,
              selfSignedTlsClientAuth: true,
              tlsClientAuth: true,
              getCertificate: (ctx) => shown(ctx)?.toString(),
              // An authority that has issued one certificate.
              certificateAuthorized: (ctx) => shown(ctx)?.fingerprint256 === known.fingerprint256,
              certificateSubjectMatches: (ctx, _property, expected) => shown(ctx)?.subject === expected,
            },
          },
        },
        oidc: { client_auth: method, client_cert: { cert: client.cert, key: client.key } },
        thumbprint: createHash('sha256').update(known.raw).digest('base64url'),
      };
    },
    saw: ({ op, thumbprint }) => {
      assert.deepEqual(jwtPart(op.newest().access_token, 1).cnf, { 'x5t#S256': thumbprint });
      assert.ok(op.tokenCalls().every(({ params }) => !params.client_secret && !params.client_assertion));
    },
  };
}

for (const [name, { files, saw, ...form }] of Object.entries(FORMS)) {
  test(name, { timeout: 60_000 }, async (t) => {
    const dir = await scratch();
    t.after(() => sweep(dir));
    const { thumbprint, ...made } = { ...form, ...files?.(dir) };
    const scene = await setScene(t, { ...made, provider: { accessTokens: 'jwt', ...made.provider } });
    const { origin, op, api, browser } = scene;
    const get = (path) => browser.fetch(path, { headers: CSRF });

    await browser.open(`${origin}/`);
    const { hops } = await browser.click('/bff/login?returnUrl=%2F');
    await passSignIn(browser, op);
    assert.equal(browser.url.href, `${origin}/`, tail(scene.sealgate.output));
    const asked = hops.map(({ url }) => new URL(url)).find((url) => url.href.startsWith(`${op.issuer}/auth`));
    const { url: back, method } = browser.answers.find(({ url }) => new URL(url).pathname === '/bff/callback');
    saw({ op, asked, back: new URL(back), method, thumbprint });

    assert.equal((await get('/api/echo/x')).status, 200);
    const { access_token: first, refresh_token: login } = op.newest();
    assert.equal(api.last().token, first);
    op.ended.add(first);
    assert.equal((await get('/api/echo/x')).status, 200, 'refreshed');
    assert.notEqual(api.last().token, first);
    saw({ op, asked, back: new URL(back), method, thumbprint });
    assert.equal(await op.refreshTokenLives(login), false, 'rotated');

    const { refresh_token: last } = op.newest();
    const user = JSON.parse((await get('/bff/user')).body);
    await browser.click(user.find(({ type }) => type === 'bff:logout_url').value);
    await passSignOut(browser, op);
    assert.equal(await op.refreshTokenLives(last), false, 'revoked');
    assert.equal((await get('/api/echo/x')).status, 401);

    await assertNothingLeaked(scene, browser.answers);
    await assertCleanEnd(scene);
  });
}
