// The program under test, as an operator meets it: a binary, a TOML file, a key directory, two sockets, a log.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { PATIENCE_MS } from './waiting.mjs';

const run = promisify(execFile);

/** Path of the binary; loudly missing, because a story that does not run proves nothing. */
export function binary() {
  const path = process.env.SEALGATE_BIN ?? fileURLToPath(new URL('../../../target/debug/sealgate', import.meta.url));
  if (!existsSync(path)) {
    throw new Error(`no sealgate binary at ${path}: run \`cargo build\`, or set SEALGATE_BIN`);
  }
  return path;
}

/** A private temporary directory. */
export const scratch = () => mkdtemp(join(tmpdir(), 'sealgate-story-'));

/** The configuration of one frontend `shop` with one API route. Its client has a key or a secret if `op` has one. */
export function configuration({
  dir, origin, port, adminPort, op, api, tls, assets, fallback = 'index.html', server = {}, frontend = {}, oidc = {}, session = {},
  keysDir = join(dir, 'keys'), keys = {}, tables = '',
}) {
  // JSON's strings, numbers and lists are TOML's.
  const toml = (value) => (value?.constructor === Object
    ? `{ ${Object.entries(value).map(([key, inner]) => `${key} = ${toml(inner)}`).join(', ')} }` : JSON.stringify(value));
  const table = (entries) => Object.entries(entries).map(([key, value]) => `${key} = ${toml(value)}`).join('\n');
  return `
[server]
${table({
    bind: `127.0.0.1:${port}`,
    admin_bind: `127.0.0.1:${adminPort}`,
    workers: 2,
    shutdown_delay: '0s',
    shutdown_grace: '2s',
    ...server,
  })}
${tls ? `tls = { cert = ${toml(tls.cert)}, key = ${toml(tls.key)} }` : ''}

[keys]
${table({ dir: keysDir, ...keys })}

[upstream.echo]
url = ${toml(`${api.url}/v1`)}

[frontend.shop]
origin = ${toml(origin)}
${table(frontend)}
${assets ? `assets = { dir = ${toml(assets)}${fallback ? `, fallback = ${toml(fallback)}` : ''} }` : ''}

[frontend.shop.oidc]
issuer        = ${toml(op.issuer)}
client_id     = ${toml(op.clientId)}
${op.clientKey || op.clientSecret ? `${op.clientKey ? 'client_key' : 'client_secret'} = { file = ${toml(join(dir, 'client-proof'))} }` : ''}
${table({
    scopes: ['openid', 'profile', 'email', 'orders.read'], ...(op.clientKey ? { client_auth: 'private_key_jwt' } : {}), ...oidc,
  })}

[frontend.shop.session]
${table(session)}

[frontend.shop.route.echo]
path     = "/api/echo"
upstream = "echo"
token    = "user"
${tables}
`;
}

/**
 * Makes keys, starts sealgate and waits until it says that it is ready.
 *
 * @param {object} options as for {@link configuration}; `log` is the value of `RUST_LOG`; `keysDir`: a ring that is
 *   there already; `name`: of the configuration file, where several processes share `dir`; `trusted`: a PEM file of
 *   certificates that providers may show
 */
export async function startSealgate({ log = 'trace', name = 'sealgate', trusted, ...options }) {
  const program = binary();
  const { dir, adminPort, op } = options;
  // In one step, because others that share `dir` may start at the same time.
  await writeFile(join(dir, `${name}-client-proof`), op.clientKey ?? `${op.clientSecret ?? ''}\n`, { mode: 0o600 });
  await rename(join(dir, `${name}-client-proof`), join(dir, 'client-proof'));
  const config = join(dir, `${name}.toml`);
  await writeFile(config, configuration(options), { mode: 0o600 });
  const keys = options.keysDir ? { stdout: '', stderr: '' }
    : await run(program, ['--rotate-keys', '--keys', join(dir, 'keys')]);

  const child = spawn(program, ['-c', config], {
    env: { PATH: process.env.PATH, HOME: dir, RUST_LOG: log, RUST_BACKTRACE: '1', ...(trusted ? { SSL_CERT_FILE: trusted } : {}) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const sealgate = {
    origin: options.origin,
    admin: `http://127.0.0.1:${adminPort}`,
    pid: child.pid,
    config,
    keys: keys.stdout,
    /** Everything the process wrote, both streams. */
    output: keys.stdout + keys.stderr,
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => { sealgate.output += text; });
  }
  // Not `exit`: then the last lines may still be on their way.
  const gone = once(child, 'close').then(([code, signal]) => { sealgate.exit = { code, signal }; return sealgate.exit; });

  sealgate.kill = async () => {
    child.kill('SIGKILL');
    return gone;
  };
  sealgate.stop = async () => {
    child.kill('SIGTERM');
    if (await Promise.race([gone, sleep(PATIENCE_MS, undefined, { ref: false })])) return sealgate.exit;
    child.kill('SIGKILL');
    await gone;
    throw new Error(`sealgate did not end within ${PATIENCE_MS} ms of SIGTERM`);
  };

  const deadline = Date.now() + PATIENCE_MS;
  let last = 'no answer';
  while (Date.now() < deadline && !sealgate.exit) {
    const answer = await request(`${sealgate.admin}/readyz`).catch((error) => ({ status: error.message }));
    if (answer.status === 200) return sealgate;
    last = `${answer.status} ${answer.body ?? ''}`;
    await sleep(50);
  }
  await sealgate.stop().catch(() => {});
  throw new Error(`sealgate is not ready (${JSON.stringify(sealgate.exit)}, /readyz: ${last})\n${tail(sealgate.output)}`);
}

/** The samples of `/metrics`: `[{ name, labels, value }]`. */
export async function metricsOf({ admin }) {
  const { body } = await request(`${admin}/metrics`);
  return [...body.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, labels = '', value]) => ({
    name,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text])),
    value: Number(value),
  }));
}

/** The sum of a metric's samples with these labels. */
export const total = (samples, name, labels = {}) => samples
  .filter((sample) => sample.name === name && Object.entries(labels).every(([key, text]) => sample.labels[key] === text))
  .reduce((sum, { value }) => sum + value, 0);

/** The end of a log, for a report. */
export const tail = (text, lines = 40) => text.trimEnd().split('\n').slice(-lines).join('\n');

/** One GET without any of a browser's habits. */
export function request(url) {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (res) => {
      let body = '';
      res.setEncoding('utf8').on('data', (text) => { body += text; });
      res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body })).on('error', reject);
    }).on('error', reject);
  });
}

/** Removes what {@link scratch} made. */
export const sweep = (dir) => rm(dir, { recursive: true, force: true });
