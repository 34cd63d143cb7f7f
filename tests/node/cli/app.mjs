#!/usr/bin/env node
// A command line's app that signs in through the system browser. It needs nothing but Node and the issuer:
//
//   node app.mjs https://shop.example.com/bff/native shop https://shop.example.com/api/orders
//
// It holds no token of the identity provider: what it gets is sealed, and bound to a key that never leaves this process.
// `http://127.0.0.1/cb` must be among the frontend's `native.redirect_uris`. `BROWSER` names the program that opens a link.
import { spawn } from 'node:child_process';
import { createHash, randomBytes, webcrypto } from 'node:crypto';
import { createServer } from 'node:http';

const [issuer, clientId, api] = process.argv.slice(2);
if (!api) {
  console.error('usage: app.mjs ISSUER CLIENT_ID API_URL');
  process.exit(64);
}

const base64url = (bytes) => Buffer.from(bytes).toString('base64url');
const sha256 = (text) => base64url(createHash('sha256').update(text).digest());

// A key of this run alone. Its private half cannot be exported.
const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
const { kty, crv, x, y } = await webcrypto.subtle.exportKey('jwk', keys.publicKey);
let nonce;

/** A proof of possession for one request (RFC 9449 §4.2). */
async function proof(method, url, token) {
  const { origin, pathname } = new URL(url);
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } };
  const claims = {
    jti: base64url(randomBytes(16)), htm: method, htu: origin + pathname, iat: Math.floor(Date.now() / 1000), nonce,
    ...(token ? { ath: sha256(token) } : {}),
  };
  const signed = [header, claims].map((part) => base64url(JSON.stringify(part))).join('.');
  const signature = await webcrypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, keys.privateKey, Buffer.from(signed));
  return `${signed}.${base64url(signature)}`;
}

/** A request with a proof; once more if the server wants one with its nonce (RFC 9449 §8). */
async function call(url, { method = 'GET', token, form, again = true } = {}) {
  const answer = await fetch(url, {
    method,
    headers: { dpop: await proof(method, url, token), ...(token ? { authorization: `DPoP ${token}` } : {}) },
    body: form && new URLSearchParams(form),
  });
  const hadNonce = nonce;
  nonce = answer.headers.get('dpop-nonce') ?? nonce;
  const text = await answer.text();
  const wantsNonce = (text + answer.headers.get('www-authenticate')).includes('use_dpop_nonce');
  if (again && wantsNonce && nonce !== hadNonce) return call(url, { method, token, form, again: false });
  return { status: answer.status, text };
}

/** Tokens, or the end of the program. */
async function tokens(form) {
  const { status, text } = await call(server.token_endpoint, { method: 'POST', form: { client_id: clientId, ...form } });
  if (status !== 200) throw new Error(`no tokens: ${status} ${text}`);
  return JSON.parse(text);
}

// RFC 8414 §3.1: the metadata stands in front of the issuer's path.
const { origin, pathname } = new URL(issuer);
const server = await (await fetch(`${origin}/.well-known/oauth-authorization-server${pathname}`)).json();
if (server.issuer !== issuer) throw new Error(`the metadata is that of ${server.issuer}`);

/** Waits on loopback for the browser to come back (RFC 8252 §7.3). */
async function signIn() {
  const [state, verifier] = [base64url(randomBytes(16)), base64url(randomBytes(32))];
  const listener = createServer();
  const back = new Promise((resolve) => {
    listener.on('request', (request, response) => {
      const { pathname: path, searchParams } = new URL(request.url, 'http://127.0.0.1');
      if (path !== '/cb') return response.writeHead(404).end();
      response.end('You may close this window.');
      return resolve(searchParams);
    });
  });
  await new Promise((resolve) => { listener.listen(0, '127.0.0.1', resolve); });
  const redirectUri = `http://127.0.0.1:${listener.address().port}/cb`;
  const address = `${server.authorization_endpoint}?${new URLSearchParams({
    response_type: 'code', client_id: clientId, redirect_uri: redirectUri, state, code_challenge: sha256(verifier),
    code_challenge_method: 'S256', dpop_jkt: sha256(JSON.stringify({ crv, kty, x, y })),
  })}`;
  console.error(`Sign in here: ${address}`);
  spawn(process.env.BROWSER ?? 'xdg-open', [address], { stdio: 'ignore', detached: true }).on('error', () => {}).unref();
  const answer = await back;
  listener.close();
  listener.closeAllConnections();
  // RFC 9207, RFC 6749 §10.12: is it the answer of this server, to this request?
  if (answer.get('iss') !== issuer || answer.get('state') !== state) throw new Error('this answer is not for us');
  if (answer.has('error')) throw new Error(`${answer.get('error')}: ${answer.get('error_description')}`);
  return tokens({ grant_type: 'authorization_code', code: answer.get('code'), redirect_uri: redirectUri, code_verifier: verifier });
}

let held = await signIn();
let answer = await call(api, { token: held.access_token });
if (answer.status === 401 && held.refresh_token) {
  held = await tokens({ grant_type: 'refresh_token', refresh_token: held.refresh_token });
  answer = await call(api, { token: held.access_token });
}
console.log(answer.text);
const form = { token: held.refresh_token ?? held.access_token, client_id: clientId };
await fetch(server.revocation_endpoint, { method: 'POST', body: new URLSearchParams(form) });
process.exitCode = answer.status < 400 ? 0 : 1;
