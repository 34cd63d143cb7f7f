// nginx, which does nothing but forward: what everything else is measured against.
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { versionOf } from '../lib/machine.mjs';
import { NGINX, nginxBasics } from '../lib/nginx.mjs';

// Over TLS: the versions that sealgate speaks, and nginx's defaults. Uploads are passed on while they arrive, as sealgate
// does; by default nginx would write them to a file first. Event streams and WebSocket as nginx's documentation has them.
const configuration = ({ dir, port, upstream, tls, streams, connections, unbuffered, http2 }) => `
${nginxBasics(dir, { connections })}
  map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
  upstream api {
    server 127.0.0.1:${upstream.port};
    keepalive 256;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port}${tls ? ' ssl' : ''}${http2 ? ' http2' : ''} backlog=4096;
    ${tls ? `ssl_certificate ${tls.cert};\n    ssl_certificate_key ${tls.key};\n    ssl_protocols TLSv1.2 TLSv1.3;` : ''}
    client_max_body_size 0;
    proxy_request_buffering off;
    location / {
      proxy_pass http://api;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      ${unbuffered ? 'proxy_buffering off;' : ''}
    }
    location = /of-its-own { return 404; }
    ${streams ? `location /streams/ {
      proxy_pass ${streams.url};
      proxy_http_version 1.1;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Host $http_host;
      proxy_buffering off;
    }` : ''}
  }
}
`;

const nginx = (id, name, { cookie, unbuffered } = {}) => ({
  id,
  name,
  cookie,
  version: () => `nginx ${versionOf(NGINX, '-v')}`,
  async start({ processes, core, dir, ...options }) {
    const config = join(dir, 'nginx.conf');
    await writeFile(config, configuration({ dir, unbuffered, ...options }));
    return processes.start(NGINX, ['-c', config, '-p', dir, '-e', join(dir, 'error.log')], { core, cwd: dir });
  },
});

/** Random text of so many bytes: what a session cookie looks like to who only forwards it. */
export const anyCookie = (bytes) => `session=${randomBytes(bytes).toString('base64url')}`.slice(0, bytes);

export const bareNginx = nginx('nginx', 'bare nginx');
export const nginxWithCookie = nginx('nginx-cookie', 'bare nginx, forwarding a 4.3 KB cookie', { cookie: anyCookie(4300) });
/** What is longer than nginx's buffers of 32 KiB goes on at once, not by way of a file. */
export const unbufferedNginx = nginx('nginx-unbuffered', 'nginx, proxy_buffering off', { unbuffered: true });
