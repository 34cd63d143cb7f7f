// Angular's development server: behind sealgate, and in front of it.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { tellOfServerBehind, tellOfServerInFront } from './development.mjs';
import { run } from './stage.mjs';

const ANGULAR = { app: 'angular', file: 'src/app/app.html' };

const ng = (t, dir, port, ...more) =>
  run(t, dir, port, '@angular/cli/bin/ng.js', ['serve', '--host', '127.0.0.1', '--port', String(port), ...more]);

test('ng serve behind sealgate', (t) => tellOfServerBehind(t, {
  ...ANGULAR, serve: (dir, port) => ng(t, dir, port),
}));

test('ng serve in front of sealgate', (t) => tellOfServerInFront(t, {
  ...ANGULAR,
  serve: async (dir, port, address) => {
    const sealgate = { target: address, ws: true };
    await writeFile(join(dir, 'proxy.json'), JSON.stringify({ '/bff': sealgate, '/api': sealgate }));
    return ng(t, dir, port, '--proxy-config', 'proxy.json');
  },
}));
