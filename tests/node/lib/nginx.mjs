// A real nginx in front, from the distribution, with a configuration of the story's own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { listens } from './ports.mjs';
import { program } from './programs.mjs';
import { eventually, PATIENCE_MS } from './waiting.mjs';


/**
 * Everything that nginx needs to be told to pass requests on; `server` and `location` are what the story adds.
 *
 * Files that nginx would put into /var go to `dir`, which is this user's: so are the workers.
 */
const configuration = ({ dir, port, tls, backends, backend, http, server, location, upstream }) => `
worker_processes 1;
${process.getuid() === 0 ? 'user root;' : ''}
pid ${dir}/nginx.pid;
events { worker_connections 4096; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${dir}/${what};`).join('\n  ')}
  ${http(dir)}
  upstream sealgate {
    ${backends.map((backendPort) => `server 127.0.0.1:${backendPort} ${backend};`).join('\n    ')}
    ${upstream}
  }
  server {
    listen 127.0.0.1:${port}${tls ? ' ssl' : ''};
    ${tls ? `ssl_certificate ${tls.cert};\n    ssl_certificate_key ${tls.key};` : ''}
    ${server}
    location / {
      proxy_pass http://sealgate;
      proxy_set_header Host $http_host;
      ${location}
    }
  }
}
`;

/**
 * Starts nginx and waits until it takes connections.
 *
 * @param {object} options `backends`: ports, taken in turns, and `backend`, what is said of each; `server`, `location`,
 *   `upstream`: more directives; `http` gives more of them for a directory that is nginx's own
 */
export async function startNginx({ backend = '', http = () => '', server = '', location = '', upstream = '', ...options }) {
  const dir = join(options.dir, `nginx-${process.hrtime.bigint()}`);
  await mkdir(dir);
  const config = join(dir, 'nginx.conf');
  const configure = (backends) => writeFile(
    config, configuration({ ...options, backend, http, server, location, upstream, dir, backends }));
  await configure(options.backends);
  const log = join(dir, 'error.log');
  // In the foreground, and of this user alone: nothing outlives the story.
  const child = spawn(program('nginx'), ['-c', config, '-p', dir, '-g', `daemon off; error_log ${log} notice;`], {
    env: { PATH: process.env.PATH, HOME: dir }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
  let exit;
  const gone = once(child, 'exit').then(([code, signal]) => { exit = { code, signal }; });
  const nginx = {
    /** What it complained of. */
    log: async () => `${output}${await readFile(log, 'utf8').catch(() => '')}`,
    /** Other backends from now on, as a controller does that watches readiness; done when the old workers take nothing more. */
    async use(backends) {
      const retired = async () => (await nginx.log()).split('gracefully shutting down').length;
      const before = await retired();
      await configure(backends);
      child.kill('SIGHUP');
      await eventually('nginx has reloaded', async () => await retired() > before, nginx.log);
    },
    async stop() {
      if (!exit) child.kill('SIGTERM');
      await gone;
    },
  };
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline && !exit; await sleep(30)) {
    if (await listens(options.port)) return nginx;
  }
  await nginx.stop();
  throw new Error(`nginx does not start (${JSON.stringify(exit)})\n${await nginx.log()}`);
}
