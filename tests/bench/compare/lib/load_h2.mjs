// One measurement over HTTP/2: h2load drives one proxy for some seconds, with so many streams at once on each connection.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { cpuSeconds, watchRss } from './accounts.mjs';
import { percentile } from './table.mjs';

/** As `measure` of load.mjs, but over TLS and HTTP/2; `streams`: how many requests each connection has under way. */
export async function measureH2(
  { pid, port, path, host, cookie },
  { h2load, processes, core, dir, upstream, seconds, connections, streams },
) {
  const headers = { accept: '*/*', 'x-csrf': '1', ...(cookie ? { cookie } : {}) };
  const log = join(dir, 'h2load.log');
  await rm(log, { force: true });
  const served = await upstream.requests();
  const peak = watchRss(pid);
  const before = cpuSeconds(pid);
  const output = await processes.run(h2load, [
    '-t1', `-c${connections}`, `-m${streams}`, `-D${seconds}`, `--log-file=${log}`, `--connect-to=127.0.0.1:${port}`,
    ...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
    `https://${host}${path}`,
  ], { core });
  const used = cpuSeconds(pid) - before;
  const rss = peak();
  const arrived = await upstream.requests() - served;
  // Columns: start, status, microseconds until the end of the answer.
  const rows = (await readFile(log, 'utf8')).trim().split('\n').map((line) => line.split('\t'));
  const refusals = rows.filter(([, status]) => status !== '200').length;
  const protocol = output.match(/^Application protocol: (\S+)$/m)?.[1];
  if (protocol !== 'h2') throw new Error(`the protocol is ${protocol}`);
  if (refusals) throw new Error(`${refusals} of ${rows.length} answers were errors`);
  if (arrived < rows.length) throw new Error(`only ${arrived} of ${rows.length} requests reached the upstream`);
  const millis = rows.map(([, , micros]) => Number(micros) / 1000);
  return {
    rps: rows.length / seconds, micros: used * 1e6 / rows.length, p50: percentile(millis, 0.5), p99: percentile(millis, 0.99), rss, busy: used / seconds,
  };
}
