// Token sets as real providers make them: the same claims, the same lengths (JWTs of 2026, names changed).
import { createHmac, randomBytes, randomUUID } from 'node:crypto';

/** Characters of text that does not compress: the worst that a provider can put into a token. */
export const noise = (characters) => randomBytes(Math.ceil(characters * 0.75)).toString('base64url').slice(0, characters);

/** Makes the claims of `extra` so much longer that a JWT of `length` characters becomes one of `wanted`. */
export const filled = (extra, length, wanted) => ({
  ...extra, note: noise(Math.max(0, Math.round((wanted - length) * 0.75) - ',"note":""'.length)),
});

const KEYCLOAK_ACCESS = () => ({
  auth_time: Math.floor(Date.now() / 1000),
  typ: 'Bearer',
  azp: 'shop',
  sid: randomUUID(),
  acr: '1',
  'allowed-origins': ['https://shop.example.com'],
  realm_access: { roles: ['default-roles-shop', 'offline_access', 'uma_authorization'] },
  resource_access: { account: { roles: ['manage-account', 'manage-account-links', 'view-profile'] } },
  email_verified: true,
  name: 'Ada Lovelace',
  preferred_username: 'ada',
  given_name: 'Ada',
  family_name: 'Lovelace',
  email: 'ada@example.org',
});

/** A refresh token that is a JWT, as Keycloak's are (HS512); `jti` is what the provider knows it by. */
const keycloakRefresh = (jti) => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const input = `${part({ alg: 'HS512', typ: 'JWT', kid: randomUUID() })}.${part({
    exp: now + 1800,
    iat: now,
    jti,
    iss: 'https://id.example.com/realms/shop',
    aud: 'https://id.example.com/realms/shop',
    sub: randomUUID(),
    typ: 'Refresh',
    azp: 'shop',
    sid: randomUUID(),
    scope: 'openid web-origins profile roles basic email microprofile-jwt',
  })}`;
  return `${input}.${createHmac('sha512', randomBytes(64)).update(input).digest('base64url')}`;
};

/** Characters of each token, and what is in them. */
export const TOKEN_SETS = [
  { name: 'plain', access: 1250, id: 1257, refresh: 43, extra: () => ({}) },
  {
    name: 'keycloak', access: 1503, id: 1207, refresh: 669, extra: KEYCLOAK_ACCESS,
    dress: keycloakRefresh, undress: (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).jti,
  },
];
