// The types that come with the client module: they compile in strict mode, and name what the module has.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

test('an app in TypeScript uses the client module in strict mode', () => {
  // Angular brings the compiler along.
  const { status, stdout } = spawnSync(process.execPath, [path('angular/node_modules/typescript/bin/tsc'), '-p', path('types')], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stdout);
});

test('the types name what the module exports, and nothing else', async () => {
  const names = async (file) => {
    const text = await readFile(path(`../../../src/endpoint/client/${file}`), 'utf8');
    return [...text.matchAll(/^export (?:async )?function (\w+)/gm)].map(([, name]) => name).sort();
  };
  const exported = await names('client.js');
  assert.ok(exported.length > 5);
  assert.deepEqual(await names('client.d.ts'), exported);
});
