// Where the peers' programs are: named by a variable, made by `get-peers`, or the system's.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MADE = fileURLToPath(new URL('../.peers', import.meta.url));

/** Path of a program; an error that says how to get it if it is nowhere. */
export function program(name, { variable, made, how }) {
  const named = process.env[variable];
  const places = named ? [named] : [
    ...(made ? [join(MADE, made)] : []),
    ...[...process.env.PATH.split(delimiter), '/usr/sbin'].map((dir) => join(dir, name)),
  ];
  const found = places.find(existsSync);
  if (!found) throw new Error(`no program ${named ?? name}: ${how}, or set ${variable}`);
  return found;
}
