// The machine below the figures: which cores, how busy it is, and programs' versions.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';

/** The proxies get one core to themselves; wrk, the upstream and this program share the other. */
export function cores() {
  const list = readFileSync('/proc/self/status', 'utf8').match(/^Cpus_allowed_list:\s+(\S+)$/m)[1];
  const allowed = list.split(',').flatMap((range) => {
    const [from, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, at) => from + at);
  });
  if (allowed.length < 2) throw new Error(`two cores are needed, one for proxies and one for the load; allowed: ${list}`);
  const [load] = allowed;
  execFileSync('taskset', ['-a', '-c', '-p', String(load), String(process.pid)], { stdio: 'pipe' });
  return { load, proxy: allowed.at(-1) };
}

/** One paragraph for the head of a report. */
export function describeMachine({ load, proxy }) {
  const [{ model }, average] = [cpus()[0], loadavg()[0]];
  const lines = [
    `${new Date().toISOString().slice(0, 16)}Z, ${model.trim()}, ${cpus().length} cores, Linux ${release()}`,
    `proxies on core ${proxy}, load generator and upstream on core ${load}; load average before: ${average.toFixed(2)}`,
  ];
  if (average > 0.5) {
    lines.push('**The machine was busy before this began:** trust CPU time and ratios; not requests per second, not latency.');
  }
  return lines.join('\n');
}

/** How many files a process may have open, sockets included. */
export const descriptors = () => Number(readFileSync('/proc/self/limits', 'utf8').match(/^Max open files\s+(\d+)/m)[1]);

/** The first thing like a version in what a program prints. */
export function versionOf(program, ...args) {
  const { stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', timeout: 20_000 });
  if (error) throw error;
  return `${stdout}${stderr}`.match(/\d+\.\d+(\.\d+)*/)?.[0] ?? 'unknown';
}
