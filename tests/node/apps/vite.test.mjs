// The development server of Vite with React, Vue and SvelteKit: behind sealgate, and in front of it.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { tellOfServerBehind, tellOfServerInFront } from './development.mjs';
import { run } from './stage.mjs';

/** SvelteKit's worker is a module in development, and browsers fetch such a worker without cookies. */
const WORKER = ['/service-worker.js', '/@fs'].map((path, n) => `
[frontend.shop.route.worker${n}]
path      = "${path}"
upstream  = "web"
token     = "none"
strip_prefix = false
documents = true
`).join('');

const APPS = [
  { app: 'vite', file: 'src/App.jsx' },
  { app: 'vue', file: 'src/App.vue' },
  // Svelte 5 makes a component anew.
  { app: 'svelte', file: 'src/routes/+layout.svelte', keepsState: false, tables: WORKER },
];

const vite = (t, dir, port, ...more) =>
  run(t, dir, port, 'vite/bin/vite.js', ['--host', '127.0.0.1', '--port', String(port), '--strictPort', ...more]);

/** What a developer adds to the app's own configuration. */
const proxied = (address) => `
  import { mergeConfig } from 'vite';
  import own from './vite.config.js';
  const sealgate = { target: '${address}', ws: true };
  export default mergeConfig(own, { server: { proxy: { '/bff': sealgate, '/api': sealgate } } });
`;

for (const { tables, ...own } of APPS) {
  test(`the development server of ${own.app} behind sealgate`, (t) => tellOfServerBehind(t, {
    ...own, tables, serve: (dir, port) => vite(t, dir, port),
  }));

  test(`the development server of ${own.app} in front of sealgate`, (t) => tellOfServerInFront(t, {
    ...own,
    serve: async (dir, port, address) => {
      await writeFile(join(dir, 'proxied.config.js'), proxied(address));
      return vite(t, dir, port, '--config', 'proxied.config.js');
    },
  }));
}
