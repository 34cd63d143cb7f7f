// A fleet: several sealgate processes that share a key directory and nothing else, nginx in front of them in turns.
import { request } from 'node:http';
import { join } from 'node:path';

import { startApi } from './api.mjs';
import { cookieNames } from './cookies.mjs';
import { atEnd } from './ends.mjs';
import { rotateKeys } from './keys.mjs';
import { startNginx } from './nginx.mjs';
import { jwtPart, startOp } from './op.mjs';
import { freePorts } from './ports.mjs';
import { startRedis } from './redis.mjs';
import { scratch, startSealgate, sweep } from './sealgate.mjs';
import { makeCertificate } from './tls.mjs';
import { allOf } from './waiting.mjs';

/** One process of a fleet, which may end and come back at the same address. */
class Replica {
  #options;
  #process;
  #past = '';

  constructor(options) {
    this.#options = options;
    this.port = options.port;
  }

  async start() {
    this.#past = this.output;
    this.#process = await startSealgate(this.#options);
  }

  get admin() { return this.#process.admin; }

  get pid() { return this.#process.pid; }

  /** Everything it wrote, in all its lives. */
  get output() { return this.#past + (this.#process?.output ?? ''); }

  /** SIGTERM, and how it went. */
  stop() { return this.#process?.stop(); }

  /** SIGKILL. */
  kill() { return this.#process.kill(); }
}

const whoseAndUntil = (token) => {
  const { sub, exp } = jwtPart(token, 1);
  return { whose: sub, until: exp * 1000 };
};

/**
 * Sets up a fleet; everything ends with the test `t`.
 *
 * @param {object} options `keys`: of each replica's configuration, one entry for each; `provider`: options of
 *   {@link startOp}; `server`, `session`: more keys of these tables; `tables`: more tables; `coordination`: whether they
 *   share a store; `nginx`: more directives, as for {@link startNginx}, or what gives them for the replicas' ports;
 *   `leeway`: seconds that the API grants access tokens
 */
export async function setFleet(t, {
  keys = [{}, {}, {}], provider = {}, server = {}, session = {}, tables: given = '', coordination = false, nginx = {}, leeway = 0,
}) {
  const dir = await scratch();
  atEnd(t, () => sweep(dir));
  const [front, ...ports] = await freePorts(1 + 2 * keys.length + 2);
  const origin = `https://localhost:${front}`;
  const certificate = makeCertificate(dir);
  const op = await startOp({ origin, accessTokens: 'jwt', ...provider });
  atEnd(t, () => op.stop());
  const api = await startApi({ accepts: (token) => op.accessTokenLives(token, leeway), about: whoseAndUntil });
  api.received.push = () => 0; // tens of thousands, and nobody looks
  atEnd(t, () => api.stop());
  const keysDir = join(dir, 'keys');
  await rotateKeys(keysDir);
  let tables = given;
  if (coordination) {
    const store = await startRedis({ dir });
    atEnd(t, () => store.stop());
    tables += store.table();
  }
  const options = { dir, origin, op, api, log: 'info', server, session, tables };
  const replicas = keys.map((table, i) => {
    const [port, adminPort] = ports.splice(0, 2);
    return new Replica({ ...options, name: `replica-${i}`, port, adminPort, keysDir, keys: table });
  });
  atEnd(t, () => Promise.all(replicas.map((replica) => replica.stop())));
  await allOf(replicas.map((replica) => replica.start()));
  const more = typeof nginx === 'function' ? nginx(...replicas.map(({ port }) => port)) : nginx;
  const nginxFor = (backends) => startNginx({
    dir,
    port: front,
    tls: certificate,
    backends,
    ...more,
    // Every answer says whose it is, and if nginx asked several, all of them.
    server: `add_header X-Replica $upstream_addr always; large_client_header_buffers 4 16k; ${more.server ?? ''}`,
    location: 'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffer_size 16k; proxy_buffers 4 16k;',
    upstream: 'keepalive 32;',
  });
  const fleet = {
    dir, origin, certificate, op, api, keysDir, replicas, options, names: cookieNames('shop', { tls: true }),
    /** Two more ports, for one more process. */
    spare: ports.splice(0, 2),
    /** Asks one replica, past nginx, with the cookies of a browser. */
    ask: (replica, jar, path, method = 'GET') => ask(replica.port, new URL(path, origin), jar, method),
    nginx: await nginxFor(replicas.map(({ port }) => port)),
    async restartNginx(backends) {
      await fleet.nginx.stop();
      fleet.nginx = await nginxFor(backends);
      return fleet.nginx;
    },
  };
  atEnd(t, () => fleet.nginx.stop());
  return fleet;
}

function ask(port, url, jar, method) {
  const cookie = jar.matching(url, { site: 'same', lax: false }).map(({ name, value }) => `${name}=${value}`).join('; ');
  const headers = { host: url.host, 'x-csrf': '1', ...(cookie ? { cookie } : {}) };
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path: url.pathname, method, agent: false, headers }, (res) => {
      const setCookies = res.headers['set-cookie'] ?? [];
      jar.store(url, setCookies);
      let body = '';
      res.setEncoding('utf8').on('data', (text) => { body += text; }).on('error', reject);
      res.on('end', () => resolve({ status: res.statusCode, setCookies, body: body ? JSON.parse(body) : undefined }));
    });
    sent.on('error', reject).end();
  });
}
