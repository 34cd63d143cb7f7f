// Spring Authorization Server, as Spring Boot's starter configures it from properties. Maven builds it.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { fetched, run } from '../lib/fetched.mjs';
import { freePorts } from '../lib/ports.mjs';
import { program } from '../lib/programs.mjs';
import { started } from '../lib/started.mjs';

const SECRET = 'shop-secret-of-the-story';

/** The path of the program's archive. */
async function jar() {
  const [pom, main] = await Promise.all(['pom.xml', 'Story.java'].map((name) => readFile(new URL(`spring/${name}`, import.meta.url), 'utf8')));
  const home = await fetched('spring', pom + main, async (dir) => {
    await mkdir(join(dir, 'src/main/java/story'), { recursive: true });
    await writeFile(join(dir, 'pom.xml'), pom);
    await writeFile(join(dir, 'src/main/java/story/Story.java'), main);
    await run(program('mvn'), ['-q', '-B', 'package'], { cwd: dir });
  });
  return join(home, 'target', 'spring-1.jar');
}

/** Starts it with the client registered, and gives what the story needs to know. */
export async function startSpring(t, { dir, client, tokenSeconds }) {
  const path = await jar();
  const [port] = await freePorts(1);
  const issuer = `http://127.0.0.1:${port}`;
  const config = join(dir, 'spring.yml');
  // JSON is YAML.
  await writeFile(config, JSON.stringify({
    server: { address: '127.0.0.1', port },
    spring: {
      security: {
        user: { name: 'alice', password: '{noop}alice-pw' },
        oauth2: {
          authorizationserver: {
            issuer,
            client: {
              shop: {
                'require-authorization-consent': true,
                token: { 'access-token-time-to-live': `${tokenSeconds}s` },
                registration: {
                  'client-id': 'shop',
                  'client-secret': `{noop}${SECRET}`,
                  'client-authentication-methods': ['client_secret_basic'],
                  'authorization-grant-types': ['authorization_code', 'refresh_token'],
                  'redirect-uris': [client.redirectUri],
                  'post-logout-redirect-uris': [client.postLogoutUri],
                  scopes: ['openid', 'profile', 'orders.read'],
                },
              },
            },
          },
        },
      },
    },
  }));
  await started(t, {
    path: program('java'),
    args: ['-Xmx256m', '-XX:+UseSerialGC', '-jar', path, `--spring.config.location=file:${config}`],
    ready: `${issuer}/.well-known/openid-configuration`,
  });
  const login = (browser) => browser.submit({ username: 'alice', password: 'alice-pw' });
  return {
    issuer,
    clientId: 'shop',
    clientSecret: SECRET,
    oidc: { scopes: ['openid', 'profile', 'orders.read'] },
    endSession: `${issuer}/connect/logout`,
    userinfo: `${issuer}/userinfo`,
    hidesRefusals: true,
    // UserInfo gives what the ID token has, and nobody filled it.
    claims: { sub: 'alice' },
    signIn: async (browser) => {
      await login(browser);
      // It asks once for a consent, and remembers it.
      return browser.page.includes('name="scope"') ? browser.submit({ scope: ['profile', 'orders.read'] }) : undefined;
    },
    deny: async (browser) => {
      await login(browser);
      return browser.submit();
    },
  };
}
