// What stories fetch or build once, and keep: in `PROVIDERS_CACHE`, by default `~/.cache/sealgate-stories`.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Runs a program to its end; its whole output is in the error if it fails. */
export async function run(path, args, options = {}) {
  try {
    return (await execute(path, args, { maxBuffer: 64 << 20, ...options })).stdout;
  } catch (error) {
    throw new Error(`${path} ${args.join(' ')}: ${error.code}\n${error.stdout ?? ''}\n${error.stderr ?? error.message}`);
  }
}

/** The directory that `make(directory)` fills. `recipe` is all that decides what is in it: another recipe makes another directory. */
export async function fetched(name, recipe, make) {
  const cache = process.env.PROVIDERS_CACHE ?? join(homedir(), '.cache', 'sealgate-stories');
  const path = join(cache, `${name}-${createHash('sha256').update(recipe).digest('hex').slice(0, 12)}`);
  if (existsSync(path)) return path;
  const begun = join(cache, `unfinished-${process.pid}`);
  await mkdir(begun, { recursive: true });
  try {
    await make(begun);
    // In one step, so that a fetch that was cut off leaves nothing that looks whole.
    await rename(begun, path);
  } finally {
    await rm(begun, { recursive: true, force: true });
  }
  return path;
}
