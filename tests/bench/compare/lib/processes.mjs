// Programs that one run starts, each pinned to a core; and their end, however the run ends.
//
// Invariants:
// - Nothing outlives the run: every program is ended by its own process group, on success, failure, Ctrl-C and when the
//   time is up; should this process itself be killed, the kernel tells them (`setpriv --pdeathsig`).
// - After the end has begun, nothing is started any more.
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

import { scratch, sweep } from '../../../node/lib/sealgate.mjs';

const STOP_MS = 5000;
const KEPT_OUTPUT = 64 * 1024;

class Processes {
  #running = new Set();
  /** Whether the end has begun. */
  over = false;

  /** Starts a program on one core; gives `{ pid, output(), exit, exited, stop() }`. */
  start(program, args, { core, env = {}, cwd } = {}) {
    if (this.over) throw new Error('the run is over');
    // Both replace themselves by what they start, so the pid stays the program's.
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', 'taskset', '-c', String(core), program, ...args], {
      cwd,
      detached: true,
      env: { PATH: process.env.PATH, HOME: cwd ?? '/nonexistent', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => { output = (output + text).slice(-KEPT_OUTPUT); });
    }
    const started = { pid: child.pid, output: () => output, exit: undefined };
    started.exited = new Promise((resolve) => {
      child.on('error', (error) => { started.exit = { error }; resolve(started.exit); });
      child.on('close', (code, signal) => {
        started.exit ??= { code, signal };
        this.#running.delete(started);
        resolve(started.exit);
      });
    });
    started.stop = async () => {
      signalGroup(child.pid, 'SIGTERM');
      if (await Promise.race([started.exited, sleep(STOP_MS, undefined, { ref: false })])) return;
      signalGroup(child.pid, 'SIGKILL');
      await started.exited;
    };
    if (child.pid) this.#running.add(started);
    return started;
  }

  /** Runs a program to its end; gives what it wrote. */
  async run(program, args, options) {
    const started = this.start(program, args, options);
    const { code, signal, error } = await started.exited;
    if (code !== 0) throw new Error(`${program}: ${error?.message ?? signal ?? `exit ${code}`}: ${lastLine(started.output())}`);
    return started.output();
  }

  async stopAll() {
    this.over = true;
    await Promise.all([...this.#running].map((started) => started.stop()));
  }
}

/** What a program said last: most tell there why they ended. */
export const lastLine = (text) => text.trim().split('\n').at(-1)?.slice(0, 300) ?? '';

function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/**
 * Does `work({ processes, dir, ends })` within so many seconds; then ends all it started and leaves with its verdict.
 *
 * `ends` takes what else is to be ended, last first.
 */
export async function bounded(seconds, work) {
  const processes = new Processes();
  const ends = [];
  const dir = await scratch();
  const stopped = new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.once(signal, () => reject(Object.assign(new Error(`ended by ${signal}`), { exitCode: 130 })));
    }
    setTimeout(() => reject(new Error(`not done after ${seconds} s`)), seconds * 1000).unref();
  });
  let exitCode = 0;
  try {
    await Promise.race([work({ processes, dir, ends }), stopped]);
  } catch (error) {
    console.error(error.exitCode ? error.message : error);
    exitCode = error.exitCode ?? 1;
  }
  await processes.stopAll();
  for (const end of ends.reverse()) await Promise.resolve().then(end).catch((error) => console.error(error));
  await sweep(dir);
  process.exit(exitCode);
}

/** Waits until something holds, or says what was last seen instead. */
export async function until(what, started, probe, { seconds = 20 } = {}) {
  let last;
  for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline && !started.exit; await sleep(50)) {
    try {
      if (await probe()) return;
    } catch (error) {
      last = error.message;
    }
  }
  throw new Error(`${what} does not start: ${started.exit ? lastLine(started.output()) || JSON.stringify(started.exit) : last}`);
}
