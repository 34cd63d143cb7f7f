// An API that takes only tokens that are bound to the client's certificate (RFC 8705 §3.1). `jose` verifies them. sealgate shows APIs
// no certificate, so it is the token's own word that counts here.
import { createHash, X509Certificate } from 'node:crypto';

import { createRemoteJWKSet, jwtVerify } from 'jose';

import { startApi } from './api.mjs';

/** Starts the API. `jwks` is where the provider's keys are, `audience` what its tokens for the API name. */
export async function startCertificateApi({ op, jwks, audience, certificate }) {
  const keys = createRemoteJWKSet(new URL(jwks));
  const thumbprint = createHash('sha256').update(new X509Certificate(certificate.pem).raw).digest('base64url');
  const refused = new Set();
  const accepts = async (token) => {
    const { payload: { cnf } } = await jwtVerify(token, keys, { issuer: op.issuer, audience });
    return !refused.has(token) && cnf?.['x5t#S256'] === thumbprint;
  };
  return Object.assign(await startApi({ accepts: (token) => accepts(token).catch(() => false) }), { refused });
}
