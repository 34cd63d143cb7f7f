// Keycloak, as it is downloaded: found or fetched, started on loopback with a story's realms, stopped, started again.
//
// `KEYCLOAK_HOME` names an unpacked distribution. Without it one is fetched by Maven into `KEYCLOAK_CACHE` and kept there: a
// first start builds it, later ones are twice as quick. Each start begins with an empty database.
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

import { run } from './fetched.mjs';
import { freePorts } from './ports.mjs';
import { program } from './programs.mjs';
import { started } from './started.mjs';

export const VERSION = '26.5.6';
const NAME = `keycloak-${VERSION}`;
const ARCHIVE = `keycloak-quarkus-dist-${VERSION}.tar.gz`;
/** A fetch that brings nothing for so long has stalled. */
const STALLS_MS = 30_000;
/** 164 MB over a slow line. */
const FETCH_MS = 400_000;
/** Two cores that do much else need five minutes for a first start with six realms. */
const START_MS = 900_000;
const ADMIN = { username: 'admin', password: 'of-the-story' };

/** Where a distribution lies. */
async function home() {
  if (process.env.KEYCLOAK_HOME) return process.env.KEYCLOAK_HOME;
  const cache = process.env.KEYCLOAK_CACHE ?? join(homedir(), '.cache', 'sealgate-stories');
  const path = join(cache, NAME);
  if (existsSync(path)) return path;
  const unpacked = join(cache, `unpacking-${process.pid}`);
  await mkdir(unpacked, { recursive: true });
  try {
    // Once more, because a line to a registry stalls now and then.
    await fetchTo(unpacked).catch(() => fetchTo(unpacked));
    await run('tar', ['xzf', join(unpacked, ARCHIVE), '-C', unpacked]);
    // In one step, so that a fetch that was cut off leaves nothing that looks whole.
    await rename(join(unpacked, NAME), path);
  } finally {
    await rm(unpacked, { recursive: true, force: true });
  }
  return path;
}

/** Lets Maven fetch the archive into a directory. Old and new versions of Maven have different names for the same limit. */
const fetchTo = (dir) => run(program('mvn'), [
  '-q', '-B', 'dependency:copy', `-Dartifact=org.keycloak:keycloak-quarkus-dist:${VERSION}:tar.gz`, `-DoutputDirectory=${dir}`,
  `-Dmaven.wagon.rto=${STALLS_MS}`, `-Daether.connector.requestTimeout=${STALLS_MS}`,
], { cwd: dir, timeout: FETCH_MS });

/**
 * Starts Keycloak; it ends with the test `t`. It is reached as 127.0.0.1, so for a browser it is another site than an app on
 * `localhost`.
 *
 * @param {(secure: string) => object[]} realms what it imports; `secure` is its origin with TLS, where there is one
 * @param {object} options `trusted`: PEM files of certificates that apps and clients may show; `tls`: a certificate for a
 *   second listener, which asks clients for theirs
 */
export async function startKeycloak(t, realms, { trusted = [], tls } = {}) {
  const java = program('java');
  const [port, tlsPort, managementPort] = await freePorts(3);
  const origin = `http://127.0.0.1:${port}`;
  const secure = tls && `https://127.0.0.1:${tlsPort}`;
  let path;
  const prepare = async () => {
    path = await home();
    const data = join(path, 'data');
    await rm(join(data, 'h2'), { recursive: true, force: true });
    await rm(join(data, 'import'), { recursive: true, force: true });
    await mkdir(join(data, 'import'), { recursive: true });
    for (const realm of realms(secure)) await writeFile(join(data, 'import', `${realm.realm}-realm.json`), JSON.stringify(realm));
  };

  const keycloak = { origin, secure };
  let server;
  keycloak.start = async () => {
    server = await started(t, {
      path: join(path, 'bin', 'kc.sh'),
      args: [
        'start-dev', '--import-realm', '--http-host=127.0.0.1', `--http-port=${port}`, `--hostname=${origin}`, '--features=token-exchange,dpop',
        `--http-management-port=${managementPort}`, '--health-enabled=true', '--http-management-scheme=http', '--cache=local',
        ...(trusted.length ? [`--truststore-paths=${trusted.join(',')}`] : []),
        ...(tls ? [
          `--https-port=${tlsPort}`, `--https-certificate-file=${tls.cert}`, `--https-certificate-key-file=${tls.key}`, '--https-client-auth=request',
        ] : []),
      ],
      env: {
        JAVA: java, JAVA_OPTS_KC_HEAP: '-Xms64m -Xmx768m',
        // It lives for a minute or two, in which the better of Java's compilers costs more than it gains.
        // It imports all realms in one transaction, which would end after five minutes.
        JAVA_OPTS_APPEND: `-XX:TieredStopAtLevel=1 -Dquarkus.transaction-manager.default-transaction-timeout=${START_MS / 1000}`,
        KC_BOOTSTRAP_ADMIN_USERNAME: ADMIN.username, KC_BOOTSTRAP_ADMIN_PASSWORD: ADMIN.password,
      },
      ready: `http://127.0.0.1:${managementPort}/health/ready`,
      patience: START_MS,
    });
  };
  keycloak.stop = () => server.stop();

  let admin = { until: 0 };
  const token = async () => {
    if (Date.now() > admin.until) {
      const answer = await fetch(`${origin}/realms/master/protocol/openid-connect/token`, {
        method: 'POST',
        body: new URLSearchParams({ grant_type: 'password', client_id: 'admin-cli', ...ADMIN }),
      });
      const { access_token: value, expires_in: seconds } = await answer.json();
      admin = { value, until: Date.now() + (seconds - 10) * 1000 };
    }
    return admin.value;
  };

  /** One call of the admin API, below a realm; gives the JSON of the answer. */
  keycloak.admin = async (realm, method, below, body) => {
    const answer = await fetch(`${origin}/admin/realms/${realm}${below}`, {
      method,
      headers: { authorization: `Bearer ${await token()}`, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${below}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  };

  /** The id of a user. */
  keycloak.user = async (realm, name) => (await keycloak.admin(realm, 'GET', `/users?exact=true&username=${name}`))[0].id;

  await prepare();
  await keycloak.start().catch(async (error) => {
    // A first start writes into the distribution: one that was cut off may have left half of it.
    if (!error.hasDied || process.env.KEYCLOAK_HOME) throw error;
    await rm(path, { recursive: true, force: true });
    await prepare();
    await keycloak.start();
  });
  return keycloak;
}
