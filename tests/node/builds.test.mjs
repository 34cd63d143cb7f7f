// What two builds put out, served as it is. The files in `builds` are committed, so that nothing has to be installed.
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { tellOfBuild } from './apps/output.mjs';
import { HANGS_MS } from './lib/waiting.mjs';

for (const [name, fallback] of [['vue', 'index.html'], ['svelte', '200.html']]) {
  test(`the output of ${name}, as it was built once`, { timeout: HANGS_MS }, (t) => (
    tellOfBuild(t, { assets: fileURLToPath(new URL(`builds/${name}`, import.meta.url)), fallback, hasWorker: true })));
}
