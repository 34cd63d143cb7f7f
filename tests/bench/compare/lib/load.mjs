// One measurement: wrk drives one proxy for some seconds; what it saw, what the proxy used, and whether both are true.
import { fileURLToPath } from 'node:url';

import { cpuSeconds, watchRss } from './accounts.mjs';

/** Unless a measurement says otherwise; the same for all. */
export const CONNECTIONS = 32;
const SCRIPT = fileURLToPath(new URL('load.lua', import.meta.url));

/**
 * Drives `url` and gives `{ rps, micros, p50, p99, rss, busy }`: requests per second, CPU µs per request, milliseconds,
 * the peak in MiB, and the share of its core that the proxy used.
 *
 * @param {object} lane `pid` of the proxy; `port`, `tls`, `path`, `host`, `cookie`; `headers` more than these; `script` and
 *   `env` of wrk; `each`: how many requests the upstream counts for one
 * @param {object} around `processes`, `core` for wrk, `upstream` if there is one behind, `seconds`, `connections`
 */
export async function measure(
  { pid, port, tls, path, host, cookie, headers: more, script = SCRIPT, env, each = 1 },
  { processes, core, upstream, seconds, connections = CONNECTIONS },
) {
  const headers = { Host: host, Accept: '*/*', 'X-CSRF': '1', ...(cookie ? { Cookie: cookie } : {}), ...more };
  const served = await upstream?.requests();
  const peak = watchRss(pid);
  const before = cpuSeconds(pid);
  const output = await processes.run('wrk', [
    '-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '-s', script,
    ...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
    // Over TLS by name: an address is not a server name (RFC 6066 §3).
    `${tls ? 'https://localhost' : 'http://127.0.0.1'}:${port}${path}`,
  ], { core, env });
  const used = cpuSeconds(pid) - before;
  const rss = peak();
  const seen = JSON.parse(output.match(/^\{"requests".*\}$/m)[0]);
  const arrived = upstream ? (await upstream.requests() - served) / each : Infinity;
  const wrong = complaints(seen, arrived);
  if (wrong.length) throw new Error(wrong.join('; '));
  return {
    rps: seen.requests / (seen.micros / 1e6),
    micros: used * 1e6 / seen.requests,
    p50: seen.p50 / 1000,
    p99: seen.p99 / 1000,
    rss,
    busy: used / (seen.micros / 1e6),
    requests: seen.requests,
  };
}

/** An answer counts only if it came from the upstream: a fast redirect to a login page is no speed. */
function complaints({ requests, socketErrors, timeouts, refusals }, arrived) {
  return [
    requests === 0 && 'no answer at all',
    refusals > 0 && `${refusals} of ${requests} answers were errors`,
    socketErrors > 0 && `${socketErrors} socket errors`,
    timeouts > 0 && `${timeouts} timeouts`,
    arrived < requests && `only ${arrived} of ${requests} requests reached the upstream`,
  ].filter(Boolean);
}
