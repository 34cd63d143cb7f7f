// nginx, which does nothing but forward: what everything else is measured against.
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { versionOf } from '../lib/machine.mjs';
import { NGINX, nginxBasics } from '../lib/nginx.mjs';

const configuration = ({ dir, port, upstream }) => `
${nginxBasics(dir)}
  upstream api {
    server 127.0.0.1:${upstream.port};
    keepalive 64;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://api;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
    }
  }
}
`;

const nginx = (id, name, cookie) => ({
  id,
  name,
  cookie,
  version: () => `nginx ${versionOf(NGINX, '-v')}`,
  async start({ processes, core, dir, ...options }) {
    const config = join(dir, 'nginx.conf');
    await writeFile(config, configuration({ dir, ...options }));
    return processes.start(NGINX, ['-c', config, '-p', dir, '-e', join(dir, 'error.log')], { core, cwd: dir });
  },
});

/** Random text of so many bytes: what a session cookie looks like to who only forwards it. */
export const anyCookie = (bytes) => `session=${randomBytes(bytes).toString('base64url')}`.slice(0, bytes);

export const bareNginx = nginx('nginx', 'bare nginx');
export const nginxWithCookie = nginx('nginx-cookie', 'bare nginx, forwarding a 4.3 KB cookie', anyCookie(4300));
