// A certified OpenID Provider (npm `oidc-provider`) on loopback, watched from inside.
//
// The stories start one each. It is unmodified but for its settings: sealgate meets the library's own endpoints,
// pages and rules. What it minted is written down, so that a story can search for it in what a browser saw.
//
// Why these settings:
// - `issueRefreshToken` without `offline_access`: such tokens end with the provider's session (OpenID Connect Core §11),
//   which is what a BFF should ask for.
// - `conformIdTokenClaims: false`: `name` and `email` in the ID token, because `/userinfo` refuses resource-bound JWTs.
// - an own key for each start: a fixed `kid` with other keys behind it would poison a client's JWKS cache.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import Provider from 'oidc-provider';

import { exchange, TOKEN_EXCHANGE } from './exchange.mjs';
import { POLICIES, Rotation } from './rotation.mjs';

/** The API as a resource (RFC 8707); access tokens for it are JWTs. */
export const RESOURCE = 'urn:stories:api';
/** The only account: any login name works in the provider's own login page, with any password. */
export const ACCOUNT = { name: 'Ada Lovelace', email: 'ada@example.org', email_verified: true };
const FETCH_MS = 20_000;
/** The scope that the API wants. */
export const API_SCOPE = 'orders.read';

/**
 * Starts a provider with one confidential client.
 *
 * @param {object} options
 * @param {string} options.origin of the application: redirect URIs are below its `/bff`
 * @param {'opaque'|'jwt'} [options.accessTokens] JWTs come from a default resource, or from `resource` parameters
 * @param {boolean} [options.defaultResource] whether a request without `resource` gets a token for the API
 * @param {(login: string) => object} [options.rotation] what becomes of a spent refresh token: one of `POLICIES`
 * @param {number} [options.accessTokenSeconds] may be changed later on the returned object
 * @param {(login: string) => object} [options.extraClaims] of access tokens; may be changed later on the returned object
 * @param {() => object} [options.idClaims] more claims of ID tokens; may be changed later on the returned object
 * @param {{dress: (token: string) => string, undress: (token: string) => string}} [options.refreshTokens] how refresh
 *   tokens look outside, for providers whose are long
 * @param {string} [options.host] a loopback name; by another one than the app's, it is another site
 * @param {string[]} [options.exchanges] audiences for which it exchanges access tokens (RFC 8693); others are `invalid_target`
 * @param {boolean} [options.hasKey] whether the client authenticates with a key, and must push its requests
 * @param {boolean} [options.dpop] whether tokens must be bound to a key of the client, whose proofs must have a nonce
 * @param {(own: string) => object} [options.client] more of the client's registration; `own` is where its endpoints are
 * @param {boolean} [options.hasSecret] whether the client authenticates with a secret
 * @param {object} [options.features] more of the provider's features
 * @param {'RS256'|'ES256'} [options.algorithm] what it signs with
 * @param {{cert: string, key: string}} [options.tls] PEM: it speaks TLS, and lets clients show a certificate
 * @param {boolean} [options.backchannel] whether it tells the application's `/bff/backchannel` of the ends of sessions
 */
export async function startOp({
  origin,
  clientId = 'shop',
  basePath = '/bff',
  accessTokens = 'opaque',
  defaultResource = accessTokens === 'jwt',
  rotation = () => POLICIES.family,
  accessTokenSeconds = 300,
  extraClaims = () => ({}),
  idClaims = () => ({}),
  refreshTokens,
  backchannel = false,
  exchanges = [],
  hasKey = false,
  dpop = false,
  hasSecret = !hasKey,
  client = () => ({}),
  features = {},
  algorithm = 'RS256',
  tls,
  host = '127.0.0.1',
}) {
  // A certificate that nobody vouches for is not turned away here: which one is whose is up to the provider.
  const server = tls ? createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: false }) : createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `${tls ? 'https' : 'http'}://${host}:${server.address().port}`;
  const own = `${origin}${basePath}`;
  const clientSecret = hasSecret ? randomBytes(24).toString('base64url') : undefined;

  const op = {
    issuer,
    clientId,
    clientSecret,
    /** What the client signs with, if it has no secret. */
    clientKey: hasKey ? newClientKey() : undefined,
    accessTokenSeconds,
    extraClaims,
    idClaims,
    /** Milliseconds by which token answers are late, so that parallel requests truly overlap. */
    tokenDelay: 0,
    /** What token answers wait for. */
    held: undefined,
    /** Out of reach: each connection is closed as soon as it is made. */
    isDown: false,
    /** One entry per request: `{ route, grant, params, status, error, answer }`. */
    calls: [],
    /** Every string that no browser and no log line may ever hold, each with a name for the report. */
    secrets: hasSecret ? [{ what: 'client secret', value: clientSecret }] : [],
    /** Access tokens that have ended before their time. */
    ended: new Set(),
    /** Logout tokens that were sent, in order. */
    logoutTokens: [],
    /** Authorization codes: they pass through the browser, but not into a log. */
    codes: [],
  };

  const { privateKey } = generateKeyPairSync(...(algorithm === 'RS256' ? ['rsa', { modulusLength: 2048 }] : ['ec', { namedCurve: 'P-256' }]));
  const kid = randomBytes(8).toString('base64url');
  const resourceServer = (audience) => ({
    scope: API_SCOPE,
    audience,
    accessTokenFormat: 'jwt',
    accessTokenTTL: op.accessTokenSeconds,
    jwt: { sign: { alg: algorithm } },
  });

  const spending = new Rotation(rotation);
  const adapter = spending.adapter();
  const cookieKey = randomBytes(24).toString('base64url');
  const settings = () => ({
    adapter,
    clients: [{
      client_id: clientId,
      ...(hasKey ? {
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks_uri: `${own}/jwks`,
        require_pushed_authorization_requests: true,
      } : {}),
      ...(hasSecret ? { client_secret: clientSecret, token_endpoint_auth_method: 'client_secret_basic' } : {}),
      grant_types: ['authorization_code', 'refresh_token', ...(exchanges.length ? [TOKEN_EXCHANGE] : [])],
      response_types: ['code'],
      id_token_signed_response_alg: algorithm,
      redirect_uris: [`${own}/callback`],
      post_logout_redirect_uris: [`${own}/logged-out`],
      ...(dpop ? { dpop_bound_access_tokens: true } : {}),
      ...(backchannel ? {
        backchannel_logout_uri: `${own}/backchannel`,
        backchannel_logout_session_required: true,
      } : {}),
      ...client(own),
    }],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: algorithm }] },
    ...(features.mTLS ? { clientAuthMethods: ['tls_client_auth', 'self_signed_tls_client_auth'] } : {}),
    // Expired is expired: the API below asks the provider whether a token lives.
    clockTolerance: 0,
    cookies: { keys: [cookieKey] },
    scopes: ['openid', API_SCOPE],
    claims: { openid: ['sub'], profile: ['name', 'note'], email: ['email', 'email_verified'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    // The provider's own dispatcher refuses loopback addresses, and its own patience of 2.5 s is short for a busy machine.
    fetch: (url, { dispatcher: _, signal: __, ...options }) => {
      const token = new URLSearchParams(options.body).get('logout_token');
      if (token) op.logoutTokens.push(token);
      return fetch(url, { ...options, signal: AbortSignal.timeout(FETCH_MS) });
    },
    rotateRefreshToken: spending.decide,
    issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    extraTokenClaims: async (_ctx, token) => op.extraClaims(token.accountId),
    findAccount: async (_ctx, sub) => ({
      accountId: sub,
      claims: async () => ({ sub, ...ACCOUNT, ...op.idClaims() }),
    }),
    ttl: {
      AccessToken: () => op.accessTokenSeconds,
      AuthorizationCode: 60,
      Grant: 3600,
      IdToken: 300,
      Interaction: 600,
      RefreshToken: 3600,
      Session: 3600,
    },
    features: {
      devInteractions: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      backchannelLogout: { enabled: backchannel },
      ...(dpop ? { dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true } } : {}),
      resourceIndicators: {
        enabled: true,
        defaultResource: async (_ctx, _client, oneOf) => oneOf ?? (defaultResource ? RESOURCE : undefined),
        useGrantedResource: async () => accessTokens === 'jwt',
        getResourceServerInfo: async () => resourceServer(RESOURCE),
      },
      ...features,
    },
  });
  const faults = [];
  let provider;
  const start = () => {
    provider = new Provider(issuer, settings());
    provider.on('server_error', (_ctx, error) => faults.push(error));
    if (exchanges.length) exchange(provider, exchanges, resourceServer);
    provider.use(watch(op));
    if (refreshTokens) provider.use(dressed(refreshTokens));
    server.removeAllListeners('request').on('request', provider.callback());
  };
  start();
  server.on('connection', (socket) => { if (op.isDown) socket.destroy(); });

  return Object.assign(op, {
    /** Calls of the token endpoint, optionally of one grant type only. */
    tokenCalls: (grant) => op.calls.filter((c) => c.route === 'token' && (!grant || c.grant === grant)),
    /** The newest token answer that was not an error. */
    newest: () => op.calls.findLast((c) => c.route === 'token' && c.status === 200)?.answer,
    /** Whether the provider would still honour this refresh token. */
    async refreshTokenLives(token) {
      const found = await provider.RefreshToken.find(token);
      return Boolean(found && !found.consumed && await provider.Grant.find(found.grantId));
    },
    /** Whether ID tokens and logout tokens name the provider's session, as an administrator may choose for a client. */
    async nameSessions(is) {
      (await provider.Client.find(clientId)).backchannelLogoutSessionRequired = is;
    },
    /** Ends an opaque access token before its time. */
    async endAccessToken(token) {
      const found = await provider.AccessToken.find(token);
      await found.destroy();
    },
    /** Ends a refresh token and its family, as an administrator would. */
    async revoke(token) {
      const found = await provider.RefreshToken.find(token);
      await found.destroy();
    },
    /** Whether the API should accept this access token now; `leeway` in seconds, for JWTs (RFC 7519 §4.1.4). */
    async accessTokenLives(token, leeway = 0) {
      if (op.ended.has(token)) return false;
      const claims = jwtPart(token, 1);
      if (claims) return claims.iss === issuer && claims.aud === RESOURCE && (claims.exp + leeway) * 1000 > Date.now();
      return Boolean(await provider.AccessToken.find(token));
    },
    /** From now on answers of the token endpoint wait until the function is called that this gives; what it does is done. */
    holdTokens() {
      let release;
      op.held = new Promise((resolve) => { release = resolve; });
      return release;
    },
    /** Breaks off everything under way, and answers nothing more until {@link comeBack}. */
    goDown() {
      op.isDown = true;
      server.closeAllConnections();
    },
    comeBack() {
      op.isDown = false;
    },
    /** Starts again with what it has stored: its nonces are others, and it asks for the client's keys anew. */
    restart: start,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      if (faults.length) throw new AggregateError(faults, 'the provider itself failed');
    },
  });
}

/** A key for a client, as a file holds it. */
export const newClientKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });

/** The decoded part of a JWT, or nothing if the token is opaque. */
export function jwtPart(token, index) {
  const part = token.split('.')[index];
  if (token.split('.').length !== 3 || !part) return undefined;
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString());
  } catch {
    return undefined;
  }
}

/** Shows refresh tokens in another form than the provider's own. */
function dressed({ dress, undress }) {
  return async function dressing(ctx, next) {
    if (ctx.method === 'POST' && ctx.path === '/token') {
      const chunks = [];
      for await (const chunk of ctx.req) chunks.push(chunk);
      const form = new URLSearchParams(Buffer.concat(chunks).toString());
      if (form.has('refresh_token')) form.set('refresh_token', undress(form.get('refresh_token')));
      ctx.req.body = Object.fromEntries(form);
    }
    await next();
    if (ctx.body?.refresh_token) ctx.body.refresh_token = dress(ctx.body.refresh_token);
  };
}

const WATCHED = new Set([
  'token', 'revocation', 'end_session', 'end_session_confirm', 'authorization', 'pushed_authorization_request', 'resume', 'userinfo',
]);

/** Writes down what goes through the provider's endpoints; changes nothing but the time of token answers. */
function watch(op) {
  return async function watched(ctx, next) {
    await next();
    const route = ctx.oidc?.route;
    if (!WATCHED.has(route)) return;
    const params = { ...ctx.oidc.params };
    const answer = route === 'token' ? ctx.body : undefined;
    const call = { route, grant: params.grant_type, params, status: ctx.status, error: ctx.body?.error, answer };
    op.calls.push(call);
    if (route === 'token' && ctx.status === 200) {
      const nth = op.calls.filter((c) => c.route === 'token').length;
      for (const what of ['access_token', 'refresh_token', 'id_token']) {
        if (answer[what]) op.secrets.push({ what: `${what} of token answer ${nth}`, value: answer[what] });
      }
    }
    const location = ctx.response.get('location');
    const code = location && new URL(location, op.issuer).searchParams.get('code');
    if (code) op.codes.push({ what: 'authorization code', value: code });
    if (route === 'token' && op.tokenDelay) await sleep(op.tokenDelay);
    if (route === 'token') await op.held;
  };
}
