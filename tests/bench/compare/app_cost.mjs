// What a request of an app without cookies costs: its sealed token and its proof of possession, beside `token = none`. CPU per
// request.
//
// Each request needs a proof of its own, so the load generator is a program of ours; the proofs of a turn are signed before it.
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { once } from 'node:events';
import { Agent, request } from 'node:http';

import { freePorts } from '../../node/lib/ports.mjs';
import { passSignIn } from '../../node/lib/person.mjs';
import { sealgateApp } from './contestants/sealgate.mjs';
import { cpuSeconds } from './lib/accounts.mjs';
import { openLane } from './lib/lane.mjs';
import { cores as findCores, describeMachine } from './lib/machine.mjs';
import { options } from './lib/options.mjs';
import { bounded } from './lib/processes.mjs';
import { figure, median, table } from './lib/table.mjs';
import { SIZES, startUpstream } from './lib/upstream.mjs';

const CONNECTIONS = 32;
const REDIRECT_URI = 'http://127.0.0.1:9/cb';
const base64url = (bytes) => Buffer.from(bytes).toString('base64url');
const sha256 = (text) => createHash('sha256').update(text).digest('base64url');

const { rounds, requests } = options({ rounds: 10, requests: 4000 }, `\
usage: run app-cost [--rounds N] [--requests N]

  --rounds    how often each is driven (10)
  --requests  how many requests each time (4000)`);

await bounded(120 + rounds * 60, async ({ processes, dir, ends }) => {
  const cores = findCores();
  console.log(`# What an app's request costs\n\n${describeMachine(cores)}\n`);
  const [port] = await freePorts(1);
  const upstream = await startUpstream({ processes, dir, port, core: cores.load });
  const lane = await openLane(sealgateApp, { processes, dir, ends, upstream, cores });
  const app = await signIn(lane);
  const turns = [
    { name: 'token = none', path: `/open/${SIZES[0].file}`, headers: () => ({ 'x-csrf': '1' }), micros: [] },
    { name: 'an app: its token and its proof', path: `/api/${SIZES[0].file}`, headers: app, micros: [] },
  ];
  for (let round = 0; round <= rounds; round += 1) {
    for (const turn of round % 2 ? turns.toReversed() : turns) {
      const micros = await drive(lane, turn);
      // The first is for warming up.
      if (round) turn.micros.push(micros);
    }
  }
  const spread = (values) => [median(values), Math.min(...values), Math.max(...values)].map(figure);
  const [none, all] = turns;
  console.log([
    `${lane.version}; answers of ${SIZES[0].name}; ${rounds} rounds of ${requests} requests`,
    table(['CPU µs per request', 'median', 'least', 'most'], [
      ...turns.map(({ name, micros }) => [name, ...spread(micros)]),
      ['the difference within a round', ...spread(all.micros.map((micros, at) => micros - none.micros[at]))],
    ]),
  ].join('\n\n'));
});

/** Signs an app in; gives a function that makes the headers of one request. */
async function signIn({ origin, op, browser }) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { kty, crv, x, y } = publicKey.export({ format: 'jwk' });
  let nonce;
  const proof = (method, path, token) => {
    const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } };
    const claims = {
      jti: base64url(randomBytes(16)), htm: method, htu: `${origin}${path}`, iat: Math.floor(Date.now() / 1000), nonce,
      ...(token ? { ath: sha256(token) } : {}),
    };
    const signed = [header, claims].map((part) => base64url(JSON.stringify(part))).join('.');
    return `${signed}.${sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };
  const metadata = await (await fetch(`${origin}/.well-known/oauth-authorization-server/bff/native`)).json();
  const verifier = base64url(randomBytes(32));
  browser.leavesTo = REDIRECT_URI;
  let last = await browser.open(`${metadata.authorization_endpoint}?${new URLSearchParams({
    response_type: 'code', client_id: op.clientId, redirect_uri: REDIRECT_URI, state: 'any', scope: 'openid',
    code_challenge: sha256(verifier), code_challenge_method: 'S256', dpop_jkt: sha256(JSON.stringify({ crv, kty, x, y })),
  })}`);
  if (browser.url.origin === op.issuer) last = await passSignIn(browser, op);
  const code = new URL(last.headers.location).searchParams.get('code');
  const { pathname } = new URL(metadata.token_endpoint);
  const ask = async () => {
    const answer = await fetch(metadata.token_endpoint, {
      method: 'POST',
      headers: { dpop: proof('POST', pathname) },
      body: new URLSearchParams({
        grant_type: 'authorization_code', client_id: op.clientId, code, redirect_uri: REDIRECT_URI, code_verifier: verifier,
      }),
    });
    nonce = answer.headers.get('dpop-nonce') ?? nonce;
    return answer.json();
  };
  let tokens = await ask();
  // RFC 9449 §8
  if (tokens.error === 'use_dpop_nonce') tokens = await ask();
  const { access_token: token } = tokens;
  if (!token) throw new Error(`no tokens: ${JSON.stringify(tokens)}`);
  return (path) => ({ authorization: `DPoP ${token}`, dpop: proof('GET', path, token) });
}

/** CPU µs of sealgate for each of so many requests. */
async function drive({ pid, port, host }, { path, headers }) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const waiting = [];
  for (let i = 0; i < requests; i += 1) waiting.push({ host, ...headers(path) });
  const before = cpuSeconds(pid);
  await Promise.all(Array.from({ length: CONNECTIONS }, async () => {
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [answer] = await once(request({ port, host: '127.0.0.1', path, headers: next, agent }).end(), 'response');
      await once(answer.resume(), 'end');
      if (answer.statusCode !== 200) throw new Error(`${path} answers ${answer.statusCode}`);
    }
  }));
  agent.destroy();
  return (cpuSeconds(pid) - before) * 1e6 / requests;
}
