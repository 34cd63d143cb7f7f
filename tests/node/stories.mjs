// Runs the stories: those without a clock side by side, then the timed ones one after the other.
//
// `node stories.mjs` runs these two kinds, `node stories.mjs together` and `node stories.mjs timed` one of them each. A new file
// `*.test.mjs` is a story of the first kind. `node stories.mjs long` runs those that need more time and more programs.
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { pipeline } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

import { missing } from './lib/programs.mjs';

/** They measure what happens within seconds under load, so no other story may run beside them. */
const TIMED = ['coordination.test.mjs', 'replicas.test.mjs', 'rotation.test.mjs'];
/** They need more time. */
const LONG = ['keycloak-forms.test.mjs', 'providers.test.mjs'];
/** The longest begin first: what begins last is waited for alone. */
const FIRST = ['keycloak.test.mjs', 'device-pages.test.mjs', 'pages.test.mjs', 'store.test.mjs', 'story.test.mjs', 'chromium.test.mjs'];
const OTHERS = readdirSync(new URL('.', import.meta.url))
  .filter((name) => name.endsWith('.test.mjs') && ![...TIMED, ...LONG, ...FIRST].includes(name));

const KINDS = {
  // A story waits more than it works: for a large program to start, for a token to end, for a proof to be a minute old.
  together: { files: [...FIRST, ...OTHERS], concurrency: availableParallelism() + 2 },
  timed: { files: TIMED, concurrency: 1 },
  long: { files: LONG, concurrency: 1 },
};

const [kind, ...more] = process.argv.slice(2);
if (more.length || (kind && !KINDS[kind])) {
  console.error('usage: node stories.mjs [together|timed|long]');
  process.exit(64);
}
const [old] = missing().filter(({ name }) => name === 'node');
if (old) {
  console.error(`node is too old. ${old.get}`);
  process.exit(1);
}
process.chdir(fileURLToPath(new URL('.', import.meta.url)));
for (const { files, concurrency } of kind ? [KINDS[kind]] : [KINDS.together, KINDS.timed]) {
  // Not `node --test`, which sorts files by name.
  const results = run({ files: files.map((name) => fileURLToPath(new URL(name, import.meta.url))), concurrency });
  results.on('test:fail', () => { process.exitCode = 1; });
  await pipeline(results, new spec(), process.stdout, { end: false });
}
