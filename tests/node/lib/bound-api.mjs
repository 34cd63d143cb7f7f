// An API that takes only tokens that are bound to a key, with a proof and a nonce of its own (RFC 9449 §7, §9). `jose` verifies
// both, so what sealgate signs is read by somebody else's code.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { calculateJwkThumbprint, createRemoteJWKSet, EmbeddedJWK, jwtVerify } from 'jose';

import { RESOURCE } from './op.mjs';

/**
 * Starts the API on a free loopback port. It wants the newest `nonce`, which the story may change, and none of the tokens that
 * the story has `refused`. `jwks` is where the provider's keys are, `audience` what its tokens for the API name.
 */
export async function startBoundApi({ op, jwks = `${op.issuer}/jwks`, audience = RESOURCE }) {
  const api = { nonce: 'first', received: [], refused: new Set() };
  const keys = createRemoteJWKSet(new URL(jwks));
  const seen = new Set();
  const server = createServer(async (req, res) => {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const seenAs = {};
    const refusal = await verify(req, seenAs).then(() => undefined, (error) => error);
    api.received.push({ method: req.method, url: req.url, body, refusal: refusal?.message, ...seenAs });
    res.setHeader('dpop-nonce', api.nonce);
    if (refusal) {
      const error = refusal.message === 'nonce' ? 'use_dpop_nonce' : 'invalid_token';
      res.writeHead(401, { 'www-authenticate': `DPoP error="${error}", algs="ES256"` }).end();
      return;
    }
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ url: req.url, body }));
  });

  async function verify(req, seenAs) {
    const [scheme, token] = (req.headers.authorization ?? '').split(' ');
    seenAs.token = token;
    if (scheme !== 'DPoP') throw new Error('no token that is bound to a key');
    const { payload: claims } = await jwtVerify(token, keys, { issuer: op.issuer, audience });
    const { payload, protectedHeader } = await jwtVerify(req.headers.dpop ?? '', EmbeddedJWK, {
      typ: 'dpop+jwt', algorithms: ['ES256'], maxTokenAge: 60, clockTolerance: 5,
    });
    seenAs.jkt = await calculateJwkThumbprint(protectedHeader.jwk);
    if (claims.cnf?.jkt !== seenAs.jkt) throw new Error('another key');
    if (payload.htm !== req.method || payload.htu !== `${api.url}${req.url.split('?')[0]}`) throw new Error('another request');
    if (payload.ath !== createHash('sha256').update(token).digest('base64url')) throw new Error('another token');
    if (seen.has(payload.jti)) throw new Error('it came before');
    seen.add(payload.jti);
    if (payload.nonce !== api.nonce) throw new Error('nonce');
    if (api.refused.has(token)) throw new Error('a token that has ended');
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(api, {
    url: `http://127.0.0.1:${server.address().port}`,
    /** What came since the last time that somebody asked. */
    taken: () => api.received.splice(0),
    /** Why requests were refused since then. */
    refusals: () => api.taken().map(({ refusal }) => refusal).filter(Boolean),
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  });
}
