// sealgate: a route without tokens, and one with the session's access token, for token sets of different sizes.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { freePorts } from '../../../node/lib/ports.mjs';
import { binary, request } from '../../../node/lib/sealgate.mjs';
import { versionOf } from '../lib/machine.mjs';

// One worker, as everybody here. An idle timeout as long as the session, because wrk never takes the cookie that says
// when the session was last seen: by default that cookie would come with every answer once the first was three minutes old.
const configuration = ({ dir, origin, port, adminPort, upstream, op, keys, tls, streams, isBound, isOnDevice, apps, bodyLimit = '1MiB' }) => `
[server]
bind           = "127.0.0.1:${port}"
admin_bind     = "127.0.0.1:${adminPort}"
workers        = 1
shutdown_delay = "0s"
shutdown_grace = "1s"
${tls ? `tls = { cert = "${tls.cert}", key = "${tls.key}" }` : ''}

[keys]
dir = "${keys}"

[upstream.api]
url = "${upstream.url}/api"

[frontend.shop]
origin = "${origin}"
assets = { dir = "${dir}/assets" }

[frontend.shop.oidc]
issuer        = "${op.issuer}"
client_id     = "${op.clientId}"
client_secret = { file = "${dir}/client-secret" }
scopes        = ["openid", "profile", "email", "orders.read"]
${isBound ? 'dpop = "always"' : ''}

[frontend.shop.session]
idle_timeout = "8h"
${isOnDevice ? 'device_binding = "preferred"' : ''}

[frontend.shop.route.api]
path       = "/api"
upstream   = "api"
token      = "user"
body_limit = "${bodyLimit}"

[frontend.shop.route.open]
path       = "/open"
upstream   = "api"
token      = "none"
body_limit = "${bodyLimit}"

${apps ? `[frontend.shop.native]
redirect_uris = ["${apps}"]
` : ''}
[frontend.shop.route.home]
path = "/home"
${['a', 'b', 'c'].map((part) => `[frontend.shop.route.home.part.${part}]
upstream = "api"
path     = "/1k.json"
`).join('')}
[frontend.shop.route.large]
path     = "/large"
deadline = "1m"
${['a', 'b', 'c'].map((part) => `[frontend.shop.route.large.part.${part}]
upstream = "api"
path     = "/1m.json"
`).join('')}${streams ? `
[upstream.streams]
url = "${streams.url}/streams"

[frontend.shop.route.streams]
path      = "/streams"
upstream  = "streams"
token     = "user"
websocket = true
` : ''}`;

const pick = ({ isBound, isOnDevice, apps }) => ({ isBound, isOnDevice, apps });

const sealgate = (id, name, more) => ({
  id,
  name,
  version: () => `sealgate ${versionOf(binary(), '--version')}`,
  /** `keys`: a key ring that is there already, another process's for instance; `env`: variables, of traces for instance. */
  async start({ processes, core, dir, op, under = [], keys, env, ...options }) {
    const [adminPort] = await freePorts(1);
    const config = join(dir, 'sealgate.toml');
    await writeFile(join(dir, 'client-secret'), op.clientSecret, { mode: 0o600 });
    await mkdir(join(dir, 'assets'));
    await writeFile(join(dir, 'assets', 'index.html'), '<!doctype html><title>Shop</title>');
    const ring = keys ?? join(dir, 'keys');
    await writeFile(config, configuration({ dir, op, adminPort, keys: ring, ...pick(more), ...options }));
    if (!keys) await processes.run(binary(), ['--rotate-keys', '--keys', ring], { core });
    const [program, ...args] = [...under, binary(), '-c', config];
    const started = processes.start(program, args, { core, cwd: dir, env });
    const ready = async () => (await request(`http://127.0.0.1:${adminPort}/readyz`)).status === 200;
    return Object.assign(started, { ready });
  },
  ...more,
});

const signsIn = { tokens: 'plain', signIn: '/bff/login?returnUrl=%2Findex.html' };

export const sealgateOpen = sealgate('none', 'sealgate, token = none', { tokens: 'plain', path: '/open' });
export const sealgateSession = sealgate('session', 'sealgate, session', signsIn);
export const sealgateKeycloak = sealgate('keycloak', 'sealgate, Keycloak-like tokens', { ...signsIn, tokens: 'keycloak' });
export const sealgateEntra = sealgate('entra', 'sealgate, Entra-like tokens', { ...signsIn, tokens: 'entra' });
/** With tokens that are bound to a key (DPoP): a signature for each request. */
export const sealgateBound = (tokens) => sealgate('bound', 'sealgate, session with DPoP', { ...signsIn, tokens, isBound: true });
/** With sessions that can be bound to a device: each request of such a one brings a second sealed cookie (`lib/device.mjs` binds). */
export const sealgateDevice = (tokens) => sealgate('device', 'sealgate, a session bound to a device', { ...signsIn, tokens, isOnDevice: true });
/** With apps that have no cookies. */
export const sealgateApp = sealgate('app', 'sealgate, an app', { ...signsIn, apps: 'http://127.0.0.1/cb' });
/** By the tokens they have. */
export const SESSIONS = new Map([sealgateSession, sealgateKeycloak, sealgateEntra].map((each) => [each.tokens, each]));
