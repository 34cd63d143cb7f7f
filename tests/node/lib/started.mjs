// A server of somebody else: started, awaited, stopped with all that it started itself.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import { request, tail } from './sealgate.mjs';

/** A Java program on two busy cores needs a minute. Only a failure takes longer. */
const START_MS = 300_000;
const STOP_MS = 30_000;

/**
 * Starts a program and waits until the address `ready` answers 200, for `patience` ms at most. It ends with the test `t`, or by
 * `stop()`. The error says in `hasDied` whether the program has ended by itself.
 */
export async function started(t, { path, args, ready, cwd, env = {}, patience = START_MS }) {
  const child = spawn(path, args, {
    // A group of its own: it may start others that would outlive it.
    detached: true, cwd, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
  });
  const server = { output: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => { server.output += text; });
  }
  let isGone = false;
  const gone = once(child, 'exit').catch((error) => { server.output += error; }).finally(() => { isGone = true; });
  server.stop = async () => {
    if (isGone) return;
    process.kill(-child.pid, 'SIGTERM');
    await Promise.race([gone, sleep(STOP_MS, undefined, { ref: false })]);
    if (isGone) return;
    process.kill(-child.pid, 'SIGKILL');
    await gone;
  };
  t.after(server.stop);
  for (const deadline = Date.now() + patience; !isGone && Date.now() < deadline; await sleep(100)) {
    const answer = await request(ready).catch(() => undefined);
    if (answer?.status === 200) return server;
  }
  throw Object.assign(new Error(`${path} is not ready (${ready})\n${tail(server.output)}`), { hasDied: isGone });
}
