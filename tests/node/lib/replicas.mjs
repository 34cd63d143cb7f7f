// Three processes, a store, and requests to the replicas in turns, without any affinity.
//
// The first replica has the address that browser and provider know; the others are asked with the same Host.
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { startApi } from './api.mjs';
import { Browser } from './browser.mjs';
import { atEnd } from './ends.mjs';
import { rotateKeys } from './keys.mjs';
import { startOp } from './op.mjs';
import { passSignIn } from './person.mjs';
import { freePorts } from './ports.mjs';
import { startRedis } from './redis.mjs';
import { metricsOf, scratch, startSealgate, sweep, tail, total } from './sealgate.mjs';
import { allOf, eventually } from './waiting.mjs';

export const REPLICAS = 3;
const UP = 'sealgate_coordination_up';

/** Provider, API, store (`isKept`: on disk, too) and three replicas with one key directory; everything ends with the test. */
export async function setReplicas(t, { provider = {}, onFailure = 'open', keys = {}, isKept } = {}) {
  const dir = await scratch();
  atEnd(t, () => sweep(dir));
  const ports = await freePorts(2 * REPLICAS);
  const origin = `http://localhost:${ports[0]}`;
  const store = await startRedis({ dir, isKept });
  atEnd(t, () => store.stop());
  const op = await startOp({ origin, ...provider });
  atEnd(t, () => op.stop());
  const api = await startApi();
  atEnd(t, () => api.stop());
  const keysDir = join(dir, 'keys');
  await rotateKeys(keysDir);
  const tables = store.table(`on_failure = ${JSON.stringify(onFailure)}\nprefix = "stories"`);
  const replicas = [];
  const start = async (i) => {
    const [port, adminPort] = [ports[2 * i], ports[2 * i + 1]];
    replicas[i] = await startSealgate({ dir, name: `replica-${i}`, origin, port, adminPort, op, api, keysDir, keys, tables, log: 'debug' });
    return replicas[i];
  };
  atEnd(t, () => Promise.all(replicas.map((replica) => replica?.stop())));
  await allOf(Array.from({ length: REPLICAS }, (_, i) => start(i)));

  const send = (i, path, { method = 'GET', headers = {}, body } = {}) => new Promise((resolve, reject) => {
    const request = httpRequest({
      host: '127.0.0.1', port: ports[2 * i], path, method, agent: false, headers: { host: new URL(origin).host, ...headers },
    }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (part) => { text += part; }).on('error', reject);
      res.on('end', () => resolve({
        status: res.statusCode, headers: res.headers, setCookies: res.headers['set-cookie'] ?? [], body: text,
      }));
    });
    // A server that refuses a long body may close before all of it is sent; its answer counts.
    request.on('error', reject).end(body);
  });

  const scene = {
    dir,
    op,
    api,
    store,
    keysDir,
    replicas,
    ask: (i, cookie) => send(i, '/api/echo', { headers: { cookie, 'x-csrf': '1' } }),
    logOutAt: (i, cookie) => send(i, '/bff/logout', { method: 'POST', headers: { cookie, 'x-csrf': '1', 'content-length': 0 } }),
    /** An event stream at a replica, after its first event. */
    events: (i, cookie) => new Promise((resolve, reject) => {
      let over;
      const request = httpRequest({
        host: '127.0.0.1', port: ports[2 * i], path: '/api/echo/events', agent: false,
        headers: { host: new URL(origin).host, cookie, 'x-csrf': '1' },
      }, (res) => {
        if (res.statusCode !== 200) reject(new Error(`no stream, but ${res.statusCode}`));
        // Ended in order: a connection that is cut is an error.
        const end = new Promise((done, failed) => {
          res.on('end', () => { over = true; done(); }).on('error', failed);
        });
        end.catch(() => {});
        res.once('data', () => resolve({ isOver: () => Boolean(over), ended: () => end }));
        res.resume();
      });
      atEnd(t, () => request.destroy());
      request.on('error', reject).end();
    }),
    post: (i, path, body, type = 'application/x-www-form-urlencoded') => send(i, path, {
      method: 'POST', body, headers: { 'content-type': type, 'content-length': Buffer.byteLength(body) },
    }),
    /** A browser of its own in which somebody is signed in, and its cookies as a thief would copy them. */
    async signIn(who) {
      const browser = new Browser();
      atEnd(t, () => browser.close());
      await browser.open(`${origin}/bff/login?returnUrl=/bff/session`);
      await passSignIn(browser, op, who);
      const cookie = browser.jar.matching(new URL(`${origin}/api/echo`), { site: 'same', lax: false })
        .map(({ name, value }) => `${name}=${value}`).join('; ');
      assert.match(cookie, /sealgate-shop=/, browser.page);
      return { browser, cookie };
    },
    /** Milliseconds until each replica refuses a cookie. */
    async deadEverywhere(cookie) {
      const begun = Date.now();
      await Promise.all(replicas.map((_, i) => eventually(
        `replica ${i} refuses a dead session`, async () => (await scene.ask(i, cookie)).status === 401, () => tail(replicas[i].output), 5,
      )));
      return Date.now() - begun;
    },
    async restart(i) {
      await replicas[i].stop();
      return start(i);
    },
    /** What each replica has in a metric. */
    count: (name, labels) => Promise.all(replicas.map(async (replica) => total(await metricsOf(replica), name, labels))),
    /** Waits until every replica has the store. */
    connected: () => eventually('each replica has the store', async () => (await scene.count(UP)).every((up) => up === 1)),
    /** Waits until every replica knows that the store is gone. */
    disconnected: () => eventually('each replica misses the store', async () => (await scene.count(UP)).every((up) => up === 0)),
    /** Requests in turns at all replicas, until `end`. */
    load(cookie) {
      const times = [];
      const statuses = new Set();
      let over = false;
      const workers = Array.from({ length: 2 * REPLICAS }, async (_, i) => {
        while (!over) {
          const begun = Date.now();
          statuses.add((await scene.ask(i % REPLICAS, cookie)).status);
          times.push(Date.now() - begun);
          await sleep(10);
        }
      });
      return {
        /** Waits until so many more have been answered. */
        async goesOn(requests = 30) {
          const until = times.length + requests;
          await eventually(`${requests} requests more`, () => times.length >= until);
        },
        async end() {
          over = true;
          await Promise.all(workers);
          times.sort((a, b) => a - b);
          return { statuses: [...statuses], count: times.length, median: times[times.length >> 1], slowest: times.at(-1) };
        },
      };
    },
  };
  await scene.connected();
  return scene;
}
