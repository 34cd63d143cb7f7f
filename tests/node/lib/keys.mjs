// The key ring from an operator's side: `sealgate --rotate-keys`, the files, and whose key sealed a cookie.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { binary } from './sealgate.mjs';

const run = promisify(execFile);

/** Runs `--rotate-keys`; gives the ring that it printed, by activation, and what it added and removed. */
export async function rotateKeys(dir, ...options) {
  const { stdout } = await run(binary(), ['--rotate-keys', '--keys', dir, ...options]);
  const keys = [...stdout.matchAll(/^([0-9a-f]{16}) .* (\S+Z)  (primary|next|opens only)$/gm)]
    .map(([, kid, activates]) => ({ kid, activatesAt: Date.parse(activates) }));
  return {
    keys,
    added: stdout.match(/^added (\S+)$/m)?.[1],
    removed: [...stdout.matchAll(/^removed ([0-9a-f]{16}):/gm)].map(([, kid]) => kid),
  };
}

/** The kids of a directory's keys that stand in a sealed value's first bytes: one, or none that is known. */
export function sealedBy(value, kids) {
  const head = Buffer.from(value.slice(0, 64), 'base64url').toString('hex');
  return kids.find((kid) => head.includes(kid));
}

/** The kid of a secret (keys/README.md). */
export const kidOf = (secret) => createHash('sha256').update('sealgate kid 1\0').update(secret).digest('hex').slice(0, 16);

/**
 * Files that are no keys, and what must be said of each.
 *
 * @param {string} dir of the ring; @param {string} spare a directory with a good key that the ring does not have
 */
export async function badFiles(dir, spare) {
  const [{ kid }] = (await rotateKeys(spare)).keys;
  const good = await readFile(join(spare, `${kid}.toml`), 'utf8');
  const other = kidOf(Buffer.from('another key'));
  const zeros = Buffer.alloc(32);
  const weak = good.replace(/^secret = .*$/m, `secret = "${zeros.toString('base64url')}"`);
  return [
    { what: 'half-written', name: `${kid}.toml`, text: good.slice(0, good.indexOf('activates_at') + 20), says: /is no valid TOML in line/ },
    { what: 'cut off between lines', name: `${kid}.toml`, text: good.slice(0, good.indexOf('secret')), says: /`secret` is missing/ },
    { what: 'empty', name: `${kid}.toml`, text: '', says: /`version` is missing/ },
    { what: 'open to others', name: `${kid}.toml`, text: good, mode: 0o644, says: /has mode 0644/ },
    { what: 'of another kid', name: `${other}.toml`, text: good, says: new RegExp(`holds the key ${kid} and must be named`) },
    { what: 'duplicate under another name', name: `${kid} (copy).toml`, text: good, says: /is not named after a key/ },
    { what: 'weak', name: `${kidOf(zeros)}.toml`, text: weak, says: /has a weak secret/ },
  ].map((file) => ({
    ...file,
    path: join(dir, file.name),
    async put() {
      // As a careless copy does: under its name from the first byte on.
      await writeFile(this.path, file.text, { mode: 0o600 });
      if (file.mode) await chmod(this.path, file.mode);
    },
    async take() {
      await rm(this.path);
    },
  }));
}
