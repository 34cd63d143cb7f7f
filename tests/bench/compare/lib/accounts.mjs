// What the kernel says a program has used: CPU time and resident memory of its whole process tree.
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';

const TICKS = Number(execFileSync('getconf', ['CLK_TCK']));

/** The fields of `/proc/<pid>/stat` from the third on (proc_pid_stat(5)); a name may hold spaces and brackets. */
function stat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** A process and all below it. */
function tree(root) {
  const children = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const parent = stat(pid)?.[1];
    if (parent) children.set(parent, [...children.get(parent) ?? [], pid]);
  }
  const all = [String(root)];
  for (let at = 0; at < all.length; at += 1) all.push(...children.get(all[at]) ?? []);
  return all;
}

/**
 * Seconds of CPU that a process tree has used: utime and stime, and those of children that have ended and been waited
 * for, so that nothing is lost or counted twice when one ends.
 */
export function cpuSeconds(root) {
  const ticks = tree(root).flatMap((pid) => stat(pid)?.slice(11, 15) ?? []);
  return ticks.reduce((sum, text) => sum + Number(text), 0) / TICKS;
}

/** MiB resident (`VmRSS`) in a process tree; pages that its processes share count once for each. */
export function rssMiB(root) {
  const sizes = tree(root).map((pid) => {
    try {
      return Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+) kB$/m)?.[1] ?? 0);
    } catch {
      return 0;
    }
  });
  return sizes.reduce((sum, size) => sum + size, 0) / 1024;
}

/** The highest value of `rssMiB` until the returned function is called, which gives it. */
export function watchRss(root) {
  let peak = rssMiB(root);
  const timer = setInterval(() => { peak = Math.max(peak, rssMiB(root)); }, 500);
  return () => {
    clearInterval(timer);
    return Math.max(peak, rssMiB(root));
  };
}

/** Forgets how much memory a process has had resident at the most (`/proc/<pid>/clear_refs`, proc_pid_clear_refs(5)). */
export function forgetPeak(pid) {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** MiB that a process has had resident at the most since then (`VmHWM`). */
export function peakMiB(pid) {
  return Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmHWM:\s+(\d+) kB$/m)[1]) / 1024;
}
