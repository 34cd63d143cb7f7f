// oauth2-proxy with sessions in cookies.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { program } from '../lib/peers.mjs';

const modules = new URL('../oauth2_proxy/go.mod', import.meta.url);
const oauth2ProxyProgram = () => program('oauth2-proxy', {
  variable: 'OAUTH2_PROXY_BIN', made: 'bin/oauth2-proxy', how: './get-peers builds it with Go',
});

// JSON is YAML. The structured configuration is the only way to send an access token as `Authorization: Bearer`.
const configuration = ({ port, upstream, op }) => ({
  upstreamConfig: { upstreams: [{ id: 'api', path: '/', uri: upstream.url }] },
  server: { BindAddress: `127.0.0.1:${port}` },
  injectRequestHeaders: [{ name: 'Authorization', values: [{ claim: 'access_token', prefix: 'Bearer ' }] }],
  providers: [{
    id: 'op',
    provider: 'oidc',
    clientID: op.clientId,
    clientSecret: op.clientSecret,
    scope: 'openid profile email orders.read',
    code_challenge_method: 'S256',
    // Endpoints by hand, because from discovery it would learn of /userinfo, and that refuses tokens for an API (RFC 8707).
    loginURL: `${op.issuer}/auth`,
    redeemURL: `${op.issuer}/token`,
    oidcConfig: {
      issuerURL: op.issuer, skipDiscovery: true, jwksURL: `${op.issuer}/jwks`,
      userIDClaim: 'sub', emailClaim: 'email', audienceClaims: ['aud'],
    },
  }],
});

export const oauth2Proxy = {
  id: 'oauth2-proxy',
  name: 'oauth2-proxy',
  tokens: 'plain',
  signIn: '/api/who',
  version: () => {
    oauth2ProxyProgram();
    return `oauth2-proxy ${readFileSync(modules, 'utf8').match(/oauth2-proxy\/v7 v(\S+)/)[1]}`;
  },
  async start({ processes, core, dir, origin, ...options }) {
    const config = join(dir, 'oauth2-proxy.yaml');
    await writeFile(config, JSON.stringify(configuration(options)), { mode: 0o600 });
    return processes.start(oauth2ProxyProgram(), [
      '--alpha-config', config,
      '--redirect-url', `${origin}/bff/callback`,
      '--proxy-prefix', '/bff',
      '--email-domain', '*',
      '--cookie-secret', randomBytes(32).toString('base64url'),
      '--cookie-secure=false',
      '--skip-provider-button',
      '--request-logging=false',
      '--auth-logging=false',
    ], { core, cwd: dir });
  },
};
