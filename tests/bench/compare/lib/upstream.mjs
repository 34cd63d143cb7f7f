// The API behind every proxy: one nginx worker with small and large answers, which takes uploads and tells what it received.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { request } from '../../../node/lib/sealgate.mjs';
import { NGINX, nginxBasics } from './nginx.mjs';
import { until } from './processes.mjs';

/** What can be asked for, and how long the answers are. */
export const ANSWERS = [
  { name: '1 KiB', file: '1k.json', bytes: 1024 },
  { name: '20 KiB', file: '20k.json', bytes: 20 * 1024 },
  { name: '100 KiB', file: '100k.json', bytes: 100 * 1024 },
  { name: '1 MiB', file: '1m.json', bytes: 1024 * 1024 },
];
/** Those that all contestants are compared with. */
export const SIZES = ANSWERS.filter(({ name }) => ['1 KiB', '100 KiB'].includes(name));
/** What an upload counts as in `requests()`. */
export const REQUESTS_PER_UPLOAD = 2;

// nginx answers in its own name without waiting for a body. So it reads the whole upload into memory and then asks itself.
// It waits long for a body: who gives up on a client is the proxy that is measured.
const configuration = (dir, port) => `
${nginxBasics(dir, { connections: 4096 })}
  large_client_header_buffers 8 32k;
  client_body_timeout 1h;
  open_file_cache max=16;
  open_file_cache_valid 1h;
  sendfile on;
  tcp_nopush on;
  upstream itself {
    server 127.0.0.1:${port};
    keepalive 64;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    default_type application/json;
    location = /status { stub_status; }
    location = /api/who { default_type text/plain; return 200 "authorization: $http_authorization\\ncookie: $http_cookie\\n"; }
    location = /taken { return 200 "{}"; }
    location = /api/upload {
      client_max_body_size 0;
      client_body_buffer_size 11m;
      proxy_pass http://itself/taken;
      proxy_pass_request_body off;
      proxy_http_version 1.1;
      proxy_set_header Content-Length "";
      proxy_set_header Connection "";
    }
    location /api/ { alias ${dir}/www/; }
  }
}
`;

/** Starts it; `/api/who` shows a request's `Authorization` and `Cookie`, `/api/upload` reads a body to its end. */
export async function startUpstream({ processes, dir: parent, port, core }) {
  const dir = join(parent, 'upstream');
  await mkdir(join(dir, 'www'), { recursive: true, mode: 0o755 });
  for (const { file, bytes } of ANSWERS) await writeFile(join(dir, 'www', file), answer(bytes));
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
