// Ory Hydra, built from the Go module, with a login and consent application of a few lines.
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';

import { fetched, run } from '../lib/fetched.mjs';
import { freePorts } from '../lib/ports.mjs';
import { program } from '../lib/programs.mjs';
import { started } from '../lib/started.mjs';

const VERSION = 'v2.3.0';
const MODULE = 'github.com/ory/hydra/v2';
const MAIN = `package main

import "${MODULE}/cmd"

func main() { cmd.Execute() }
`;

/** The path of the program. */
async function hydra() {
  const home = await fetched('hydra', VERSION + MAIN, async (dir) => {
    const go = program('go');
    // One compiler at a time: others are at work on the same machine.
    const options = { cwd: dir, env: { ...process.env, GOFLAGS: '-p=1 -mod=mod -buildvcs=false' } };
    const { Dir: source } = JSON.parse(await run(go, ['mod', 'download', '-json', `${MODULE}@${VERSION}`], { ...options, cwd: '/' }));
    // Its own versions of everything. The module does not carry the directory that it replaces its client library by.
    const own = (await readFile(join(source, 'go.mod'), 'utf8'))
      .replace(/^module .*$/m, 'module story').replace(/^toolchain .*$/m, '').replace(/^replace \S*hydra-client-go.*$/m, '');
    await writeFile(join(dir, 'go.mod'), own);
    await writeFile(join(dir, 'go.sum'), await readFile(join(source, 'go.sum')));
    await writeFile(join(dir, 'main.go'), MAIN);
    await run(go, ['mod', 'edit', `-require=${MODULE}@${VERSION}`], options);
    await run(go, ['mod', 'tidy'], options);
    await run(go, ['build', '-tags', 'sqlite,json1', '-o', 'hydra', '.'], options);
  });
  return join(home, 'hydra');
}

/** Registers the client and gives what the story needs to know. */
export async function startHydra(t, { dir, client, tokenSeconds }) {
  const path = await hydra();
  const [port, adminPort] = await freePorts(2);
  const issuer = `http://127.0.0.1:${port}`;
  const admin = async (method, below, body) => {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/admin${below}`, {
      method, headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${below}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  };
  const pages = await startPages(t, admin);
  const config = join(dir, 'hydra.json');
  await writeFile(config, JSON.stringify({
    dsn: 'memory',
    serve: { public: { host: '127.0.0.1', port }, admin: { host: '127.0.0.1', port: adminPort } },
    urls: { self: { issuer }, login: `${pages}/login`, consent: `${pages}/consent`, logout: `${pages}/logout`, error: `${pages}/error` },
    secrets: { system: ['a-system-secret-of-the-story'] },
    ttl: { access_token: `${tokenSeconds}s` },
    oauth2: { grant: { refresh_token: { rotation_grace_period: '30s' } } },
    // Back-channel logout goes to loopback here.
    clients: { http: { disallow_private_ip_ranges: false } },
    sqa: { opt_out: true },
  }));
  // It makes its keys when somebody first asks for them, which takes a while.
  await started(t, { path, args: ['serve', 'all', '--dev', '-c', config], ready: `${issuer}/.well-known/jwks.json` });
  const clientSecret = 'shop-secret-of-the-story';
  const { client_id: clientId } = await admin('POST', '/clients', {
    client_name: 'shop',
    client_secret: clientSecret,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    scope: 'openid offline_access orders.read',
    redirect_uris: [client.redirectUri],
    post_logout_redirect_uris: [client.postLogoutUri],
    backchannel_logout_uri: client.backchannelUri,
    backchannel_logout_session_required: true,
    audience: [AUDIENCE],
    token_endpoint_auth_method: 'client_secret_basic',
  });
  return {
    issuer,
    clientId,
    clientSecret,
    oidc: {
      scopes: ['openid', 'offline_access', 'orders.read'], extra_params: { audience: AUDIENCE }, logout_token_without_exp: 'by-iat',
    },
    endSession: `${issuer}/oauth2/sessions/logout`,
    userinfo: `${issuer}/userinfo`,
    claims: { sub: 'alice', name: 'Alice of Hydra' },
    signIn: async (browser) => {
      await browser.submit({ user: 'alice' });
      return browser.submit({ consent: 'yes' });
    },
    deny: async (browser) => {
      await browser.submit({ user: 'alice' });
      return browser.submit({ consent: 'no' });
    },
    signOut: (browser) => browser.submit({}),
    /** An administrator ends what the client may do for the user. */
    endGrant: () => admin('DELETE', '/oauth2/auth/sessions/consent?subject=alice&all=true'),
    /** An administrator ends a single sign-on; the client is told. */
    endSingleSignOn: ({ sid }) => admin('DELETE', `/oauth2/auth/sessions/login?sid=${sid}`),
  };
}

const AUDIENCE = 'https://orders.example.org';

/** The pages that Hydra leaves to its operator. Gives their address. */
async function startPages(t, admin) {
  const form = (challenge, field) => `<form method="post"><input type="hidden" name="challenge" value="${challenge}"><input name="${field}"><button>Go</button></form>`;
  const server = createServer(async (req, res) => {
    const { pathname, searchParams } = new URL(req.url, 'http://pages');
    const kind = pathname.slice(1);
    if (req.method === 'GET') {
      res.setHeader('content-type', 'text/html').end(kind === 'error' ? `<p>${searchParams.get('error')}</p>`
        : form(searchParams.get(`${kind}_challenge`), { login: 'user', consent: 'consent', logout: 'logout' }[kind]));
      return;
    }
    let text = '';
    for await (const piece of req.setEncoding('utf8')) text += piece;
    const fields = new URLSearchParams(text);
    const of = (verb) => `/oauth2/auth/requests/${kind}${verb}?${kind}_challenge=${encodeURIComponent(fields.get('challenge'))}`;
    let next;
    if (kind === 'login') next = await admin('PUT', of('/accept'), { subject: fields.get('user'), remember: true });
    else if (kind === 'logout') next = await admin('PUT', of('/accept'));
    else if (fields.get('consent') === 'no') next = await admin('PUT', of('/reject'), { error: 'access_denied', error_description: 'not today' });
    else {
      const asked = await admin('GET', of(''));
      next = await admin('PUT', of('/accept'), {
        grant_scope: asked.requested_scope,
        grant_access_token_audience: asked.requested_access_token_audience,
        session: { id_token: { name: 'Alice of Hydra' } },
      });
    }
    res.writeHead(303, { location: next.redirect_to }).end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => { server.closeAllConnections(); server.close(); });
  return `http://127.0.0.1:${server.address().port}`;
}
