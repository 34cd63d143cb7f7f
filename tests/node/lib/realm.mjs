// Keycloak realms for stories, as Keycloak imports them.

/** A confidential client of an app at `origin`. */
export function client(clientId, { origin, attributes = {}, ...more }) {
  return {
    clientId,
    enabled: true,
    protocol: 'openid-connect',
    publicClient: false,
    clientAuthenticatorType: 'client-secret',
    secret: `${clientId}-secret-of-the-story`,
    standardFlowEnabled: true,
    implicitFlowEnabled: false,
    directAccessGrantsEnabled: false,
    serviceAccountsEnabled: true,
    frontchannelLogout: false,
    fullScopeAllowed: true,
    redirectUris: [`${origin}/bff/callback`],
    webOrigins: [],
    attributes: {
      'pkce.code.challenge.method': 'S256',
      'post.logout.redirect.uris': `${origin}/bff/logged-out`,
      'backchannel.logout.url': `${origin}/bff/backchannel`,
      'backchannel.logout.session.required': 'true',
      ...attributes,
    },
    ...more,
  };
}

/** An API that tokens are exchanged for. */
export const api = (clientId) => ({
  clientId,
  enabled: true,
  protocol: 'openid-connect',
  publicClient: false,
  secret: `${clientId}-secret-of-the-story`,
  standardFlowEnabled: false,
  serviceAccountsEnabled: false,
});

/** A user whose password is `NAME-pw`. */
const user = (username) => ({
  username,
  enabled: true,
  email: `${username}@example.org`,
  emailVerified: true,
  firstName: username[0].toUpperCase() + username.slice(1),
  lastName: 'Test',
  credentials: [{ type: 'password', value: `${username}-pw`, temporary: false }],
  realmRoles: ['buyer'],
  clientRoles: { 'orders-api': ['reader'] },
});

/** A realm with these clients, the API `orders-api`, and users who are buyers. */
export function realm(name, { clients, users = ['alice', 'bob', 'carol', 'dave'], ...more }) {
  return {
    realm: name,
    enabled: true,
    sslRequired: 'none',
    accessTokenLifespan: 60,
    ssoSessionIdleTimeout: 1800,
    ssoSessionMaxLifespan: 36_000,
    revokeRefreshToken: false,
    roles: { realm: [{ name: 'buyer' }], client: { 'orders-api': [{ name: 'reader' }] } },
    users: users.map(user),
    clients: [...clients, api('orders-api')],
    ...more,
  };
}
