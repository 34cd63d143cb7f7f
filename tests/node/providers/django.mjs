// django-oauth-toolkit, in a Django of one file. Pip fetches it.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { freePorts } from '../lib/ports.mjs';
import { program } from '../lib/programs.mjs';
import { pythonPackages } from '../lib/python.mjs';
import { request } from '../lib/sealgate.mjs';
import { started } from '../lib/started.mjs';

const SECRET = 'shop-secret-of-the-story';
const file = (name) => fileURLToPath(new URL(`django/${name}`, import.meta.url));

/** Starts it with the client registered, and gives what the story needs to know. */
export async function startDjango(t, { dir, client, tokenSeconds }) {
  const packages = await pythonPackages('django', await readFile(file('requirements.txt'), 'utf8'));
  const [port] = await freePorts(1);
  const origin = `http://127.0.0.1:${port}`;
  const issuer = `${origin}/o`;
  await started(t, {
    path: program('python'),
    args: [file('story.py'), JSON.stringify({
      issuer,
      bind: `127.0.0.1:${port}`,
      database: join(dir, 'django.sqlite'),
      client_secret: SECRET,
      redirect_uri: client.redirectUri,
      post_logout_uri: client.postLogoutUri,
      token_seconds: tokenSeconds,
    })],
    env: { PYTHONPATH: packages, PYTHONDONTWRITEBYTECODE: '1' },
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
