// One contestant in the run: its process, its provider, its signed-in browser; and whether it does its work.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { Browser } from '../../../node/lib/browser.mjs';
import { Jar } from '../../../node/lib/jar.mjs';
import { passSignIn } from '../../../node/lib/person.mjs';
import { freePorts } from '../../../node/lib/ports.mjs';
import { request } from '../../../node/lib/sealgate.mjs';
import { rssMiB } from './accounts.mjs';
import { lastLine, until } from './processes.mjs';
import { startProvider } from './provider.mjs';

/** Long, for a busy machine and for a program that runs under valgrind. */
const START_SECONDS = 60;

/** A browser's jar, but for `Secure`: Envoy says so over plain HTTP too, and loopback counts as secure to browsers. */
class LoopbackJar extends Jar {
  store(url, lines) {
    super.store(url, lines.map((line) => line.replace(/;\s*secure(?=\s*(;|$))/i, '')));
  }
}

/**
 * Starts a contestant and signs in; an error says why it cannot take part.
 *
 * @param {object} contestant `id`, `name`, `start`, `version`; `tokens` and `signIn` if it has sessions; `path`, `cookie`;
 *   `isBound`: whether its tokens are bound to a key
 * @param {object} run `processes`, `dir`, `ends`, `upstream`, `cores`; `under`: a program with its options that is to run
 *   the contestant, valgrind for instance (not every contestant can); `more`: what else the contestant is to be told, `tls`
 *   for instance (only nginx and sealgate can); `place`: a name for its directory
 */
export async function openLane(contestant, { processes, dir: parent, ends, upstream, cores, under, more = {}, place = contestant.id }) {
  const { id, name, tokens, signIn, path = '/api', isBound } = contestant;
  const version = await contestant.version();
  const { tls } = more;
  const dir = join(parent, place);
  await mkdir(dir);
  const [port] = await freePorts(1);
  const origin = `${tls ? 'https' : 'http'}://localhost:${port}`;
  const op = tokens && await startProvider({ origin, tokens, isBound });
  if (op) ends.push(() => op.stop());
  const started = await contestant.start({ processes, core: cores.proxy, dir, port, origin, upstream, op, under, ...more });
  await until(name, started, started.ready ?? (() => request(`http://127.0.0.1:${port}/`)), { seconds: START_SECONDS });

  const lane = {
    id, name, version, port, tls, path, op, origin, dir, pid: started.pid, host: `localhost:${port}`, cookie: contestant.cookie,
    remarks: new Set(),
    stop: () => started.stop(),
    /** A new browser, signed in, on a page of the application. */
    async person() {
      const browser = new Browser(tls ? { ca: tls.pem } : { jar: new LoopbackJar() });
      ends.push(() => browser.close());
      await browser.open(`${origin}${signIn}`);
      const { status } = await passSignIn(browser, op);
      if (browser.url.origin !== origin || status >= 400) {
        throw new Error(`signing in ends with ${status} on ${browser.url.origin}${browser.url.pathname}: ${
          lastLine(started.output()) || browser.page.slice(0, 200)}`);
      }
      return browser;
    },
    /** One request before a measurement: takes a cookie that the proxy wants to renew, and sees whether the token arrives. */
    async prepare() {
      const asked = { headers: { 'x-csrf': '1', ...(lane.cookie && !signIn ? { cookie: lane.cookie } : {}) }, page: new URL(origin) };
      const { status, body } = await lane.browser.fetch(`${path}/who`, asked);
      if (status !== 200) throw new Error(`answers ${status} to a signed-in request: ${body.slice(0, 200)}`);
      const credentials = body.match(/^authorization: (.*)$/m)?.[1];
      if (signIn && credentials !== `${isBound ? 'DPoP' : 'Bearer'} ${op.newest().access_token}`) {
        lane.remarks.add(credentials ? 'attaches another token than the user\'s access token' : 'attaches no access token');
      }
      if (!signIn && credentials) lane.remarks.add('attaches a token');
      if (signIn) {
        lane.cookie = lane.browser.jar.matching(new URL(`${origin}${path}/who`), { site: 'same', lax: false })
          .map((cookie) => `${cookie.name}=${cookie.value}`).join('; ');
      }
    },
    /** After a measurement: what the same request brings now. */
    async lookBack() {
      const { status, setCookies } = await lane.browser.fetch(`${path}/who`, { headers: { 'x-csrf': '1' }, page: new URL(origin) });
      if (status !== 200) throw new Error(`answers ${status} after the load`);
      if (setCookies.length) lane.remarks.add('sets its cookie anew with each answer');
    },
    rss: () => rssMiB(started.pid),
  };
  lane.browser = signIn ? await op.signIn(() => lane.person()) : new Browser({ ca: tls?.pem });
  await lane.prepare();
  lane.cookieBytes = Buffer.byteLength(lane.cookie ?? '');
  return lane;
}

/** Several in turn, each in a directory named for `place` too. None of them may be absent. */
export async function openLanes(contestants, scene, { place, ...more }) {
  const lanes = [];
  for (const contestant of contestants) {
    lanes.push(await openLane(contestant, { ...scene, more, place: `${place}-${contestant.id}` }));
  }
  return lanes;
}
