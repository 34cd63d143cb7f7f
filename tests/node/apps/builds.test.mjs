// What the builds of this directory put out, served as it is.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { HANGS_MS } from '../lib/waiting.mjs';
import { tellOfBuild } from './output.mjs';

const BUILDS = {
  vite: { dist: 'vite/dist' },
  vue: { dist: 'vue/dist', hasWorker: true },
  angular: { dist: 'angular/dist/shop/browser', hasWorker: true, hasHub: true },
  svelte: { dist: 'svelte/build', fallback: '200.html', hasWorker: true },
  'next-static': { dist: 'next-static/out', fallback: null, deep: '/more?x=1' },
};

for (const [name, { dist, ...build }] of Object.entries(BUILDS)) {
  test(`the output of ${name}`, { timeout: HANGS_MS }, async (t) => {
    const assets = fileURLToPath(new URL(dist, import.meta.url));
    assert.ok(existsSync(assets), `${assets} is not built: run tests/node/apps/all`);
    await tellOfBuild(t, { assets, ...build });
  });
}
