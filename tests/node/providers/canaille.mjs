// Canaille, in one process and in memory. Pip fetches it.
import { fileURLToPath } from 'node:url';

import { freePorts } from '../lib/ports.mjs';
import { startPython } from '../lib/python.mjs';

const SECRET = 'shop-secret-of-the-story';

/** Starts it with the client registered, and gives what the story needs to know. */
export async function startCanaille(t, { dir, client, tokenSeconds }) {
  const [port] = await freePorts(1);
  const issuer = `http://127.0.0.1:${port}`;
  await startPython(t, {
    name: 'canaille',
    home: fileURLToPath(new URL('canaille', import.meta.url)),
    options: {
      port, client_secret: SECRET, redirect_uri: client.redirectUri, post_logout_uri: client.postLogoutUri, token_seconds: tokenSeconds,
    },
    cwd: dir,
    ready: `${issuer}/.well-known/openid-configuration`,
  });
  const login = async (browser) => {
    await browser.submit({ login: 'alice' });
    await browser.submit({ password: 'alice-pw' });
  };
  return {
    issuer,
    clientId: 'shop',
    clientSecret: SECRET,
    oidc: { scopes: ['openid', 'profile'] },
    endSession: `${issuer}/oauth/end_session`,
    userinfo: `${issuer}/oauth/userinfo`,
    claims: { name: 'Alice of Canaille' },
    signIn: async (browser) => {
      await login(browser);
      // It remembers a consent.
      return browser.page.includes('value="accept"') ? browser.submit({ answer: 'accept' }) : undefined;
    },
    deny: async (browser) => {
      await login(browser);
      return browser.submit({ answer: 'deny' });
    },
  };
}
