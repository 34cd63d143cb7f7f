// The simplest proxy on hyper: the floor for what is built on it.
import { readFileSync } from 'node:fs';

import { program } from '../lib/peers.mjs';

const lock = new URL('../bare_hyper/Cargo.lock', import.meta.url);

export const bareHyper = {
  id: 'hyper',
  name: 'bare hyper proxy',
  version: () => `hyper ${readFileSync(lock, 'utf8').match(/name = "hyper"\nversion = "([^"]+)"/)[1]}`,
  start({ processes, core, dir, port, upstream, under = [] }) {
    const path = program('bare_hyper', { variable: 'BARE_HYPER_BIN', made: 'bin/bare_hyper', how: './get-peers builds it' });
    const [command, ...args] = [...under, path, `127.0.0.1:${port}`, `127.0.0.1:${upstream.port}`];
    return processes.start(command, args, { core, cwd: dir });
  },
};
