// The API behind every proxy: one nginx worker with small and large answers, which also tells what it received.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { request } from '../../../node/lib/sealgate.mjs';
import { NGINX, nginxBasics } from './nginx.mjs';
import { until } from './processes.mjs';

/** What is asked for, and how long the answers are. */
export const SIZES = [{ name: '1 KiB', file: '1k.json', bytes: 1024 }, { name: '100 KiB', file: '100k.json', bytes: 100 * 1024 }];

const configuration = (dir, port) => `
${nginxBasics(dir)}
  large_client_header_buffers 8 32k;
  open_file_cache max=16;
  open_file_cache_valid 1h;
  sendfile on;
  tcp_nopush on;
  server {
    listen 127.0.0.1:${port};
    default_type application/json;
    location = /status { stub_status; }
    location = /api/who { default_type text/plain; return 200 "authorization: $http_authorization\\ncookie: $http_cookie\\n"; }
    location /api/ { alias ${dir}/www/; }
  }
}
`;

/** Starts it; `/api/who` shows a request's `Authorization` and `Cookie`. */
export async function startUpstream({ processes, dir: parent, port, core }) {
  const dir = join(parent, 'upstream');
  await mkdir(join(dir, 'www'), { recursive: true, mode: 0o755 });
  for (const { file, bytes } of SIZES) await writeFile(join(dir, 'www', file), answer(bytes));
  const config = join(dir, 'nginx.conf');
  await writeFile(config, configuration(dir, port));
  const started = processes.start(NGINX, ['-c', config, '-p', dir, '-e', join(dir, 'error.log')], { core, cwd: dir });
  const status = `http://127.0.0.1:${port}/status`;
  await until('the upstream', started, async () => (await request(status)).status === 200);
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    pid: started.pid,
    /** How many requests it has had. */
    async requests() {
      const { body } = await request(status);
      return Number(body.match(/\n\s*\d+ \d+ (\d+)/)[1]);
    },
  };
}

/** JSON of exactly so many bytes. */
function answer(bytes) {
  const [head, tail] = ['{"orders":"', '"}'];
  return head + 'an order of many lines. '.repeat(bytes).slice(0, bytes - head.length - tail.length) + tail;
}
