// django-oauth-toolkit, in a Django of one file. Pip fetches it.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { freePorts } from '../lib/ports.mjs';
import { startPython } from '../lib/python.mjs';
import { request } from '../lib/sealgate.mjs';

const SECRET = 'shop-secret-of-the-story';

/** Starts it with the client registered, and gives what the story needs to know. */
export async function startDjango(t, { dir, client, tokenSeconds }) {
  const [port] = await freePorts(1);
  const origin = `http://127.0.0.1:${port}`;
  const issuer = `${origin}/o`;
  await startPython(t, {
    name: 'django',
    home: fileURLToPath(new URL('django', import.meta.url)),
    options: {
      issuer,
      bind: `127.0.0.1:${port}`,
      database: join(dir, 'django.sqlite'),
      client_secret: SECRET,
      redirect_uri: client.redirectUri,
      post_logout_uri: client.postLogoutUri,
      token_seconds: tokenSeconds,
    },
    ready: `${issuer}/.well-known/openid-configuration`,
  });
  const login = (browser) => browser.submit({ username: 'alice', password: 'alice-pw' });
  return {
    issuer,
    clientId: 'shop',
    clientSecret: SECRET,
    oidc: { scopes: ['openid', 'profile', 'orders.read'] },
    endSession: `${issuer}/logout/`,
    userinfo: `${issuer}/userinfo/`,
    claims: { name: 'Alice of Django' },
    signIn: async (browser) => {
      await login(browser);
      return browser.submit({ allow: 'Authorize' });
    },
    deny: async (browser) => {
      await login(browser);
      return browser.submit();
    },
    signOut: (browser) => browser.submit({ allow: 'Logout' }),
    endGrant: () => request(`${origin}/story/end-grants`),
  };
}
