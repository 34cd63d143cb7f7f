// One scene: provider, API, sealgate and a browser, all on loopback; and what must hold of it when the story is over.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

import { startApi } from './api.mjs';
import { Browser } from './browser.mjs';
import { leaks, logLines, received } from './canary.mjs';
import { auditCookies, cookieNames } from './cookies.mjs';
import { atEnd } from './ends.mjs';
import { startOp } from './op.mjs';
import { freePorts } from './ports.mjs';
import { request, scratch, startSealgate, sweep, tail } from './sealgate.mjs';
import { makeCertificate } from './tls.mjs';

const SPA = fileURLToPath(new URL('../spa', import.meta.url));

/**
 * Sets the scene; everything ends with the test `t`.
 *
 * The application is on `localhost`, the provider on `127.0.0.1`: two sites, so SameSite is at work.
 *
 * @param {object} options `tls`: whether sealgate speaks TLS; `provider`: options of {@link startOp};
 *   `oidc`, `session`: more keys of the frontend's tables, and `frontend` gives those of its own for a port;
 *   `tables`: more tables; `assets`: the app's files, or `null`; `fallback`: the page of all other paths, or `null`;
 *   `publicPort`: of a server in front, which the address bar shows;
 *   `accepts`: what the API takes besides the provider's tokens for it; `log`: the value of `RUST_LOG`;
 *   `trusted`: a certificate that the provider shows, as {@link makeCertificate} gives it;
 *   `makeApi`: starts another API than {@link startApi}
 */
export async function setScene(t, {
  tls = false, provider = {}, frontend = () => ({}), oidc = {}, session = {}, tables = '', assets = SPA, fallback, publicPort, accepts,
  log, trusted, makeApi = startApi,
} = {}) {
  const dir = await scratch();
  atEnd(t, () => sweep(dir));
  const [port, adminPort] = await freePorts(2);
  const scheme = tls ? 'https' : 'http';
  const origin = `${scheme}://localhost:${publicPort ?? port}`;
  const certificate = tls ? makeCertificate(dir) : undefined;
  const op = await startOp({ origin, ...provider });
  atEnd(t, () => op.stop());
  const api = await makeApi({ accepts: async (token) => accepts?.(token) || op.accessTokenLives(token), op });
  atEnd(t, () => api.stop());
  const sealgate = await startSealgate({
    dir, origin, port, adminPort, op, api, tls: certificate, assets, fallback, oidc, session, tables, trusted: trusted?.cert,
    frontend: frontend({ port }), ...(log ? { log } : {}),
  });
  atEnd(t, () => sealgate.stop());
  const browser = new Browser({ ca: [certificate?.pem, trusted?.pem].filter(Boolean) });
  atEnd(t, () => browser.close());

  const address = `${scheme}://127.0.0.1:${port}`;
  const names = cookieNames('shop', { tls });
  // A form that another site posts brings no other cookie.
  const loginSite = oidc.response_mode === 'form_post' ? 'None' : 'Lax';
  return { dir, loginSite, tls, keys: `${dir}/keys`, origin, address, certificate, op, api, sealgate, browser, names };
}

/** The refresh tokens that were presented, in order, with the provider's verdicts. */
export const refreshes = (op) => op.tokenCalls('refresh_token')
  .map(({ params, status, error }) => ({ token: params.refresh_token, status, error }));

/** Nothing minted has reached a browser or a log, in any form; no cookie broke the rules. */
export async function assertNothingLeaked({ origin, op, sealgate, tls, names, loginSite }, answers) {
  const endSession = `${op.issuer}/session/end`;
  const metrics = await request(`${sealgate.admin}/metrics`);
  assert.equal(metrics.status, 200);
  assert.ok(op.secrets.length > 3, 'there is something to search for');
  const seen = received(answers, origin, endSession);
  assert.ok(seen.length > 6, 'there is something to search in');
  assert.deepEqual(leaks(seen, op.secrets), [], 'tokens in what the browser received');
  assert.deepEqual(leaks([{ where: '/metrics', text: metrics.body }], [...op.secrets, ...op.codes]), []);
  assert.deepEqual(leaks(logLines(sealgate.output), [...op.secrets, ...op.codes]), [], 'secrets in the log');
  const ours = answers.flatMap(({ setCookies }) => setCookies).map((line) => line.match(/=([^;]*)/)?.[1])
    .filter((value) => value?.length > 40).map((value) => ({ what: 'a cookie value', value }));
  assert.deepEqual(logLines(sealgate.output).filter(({ text }) => ours.some(({ value }) => text.includes(value))), []);
  assert.deepEqual(auditCookies(answers, { origin, names, tls, loginSite }), [], 'cookies on the wire');
}

/** Stops sealgate by SIGTERM; it must go in peace. */
export async function assertCleanEnd({ sealgate }) {
  assert.deepEqual(await sealgate.stop(), { code: 0, signal: null }, tail(sealgate.output));
  assert.doesNotMatch(sealgate.output, /panicked at/);
}
