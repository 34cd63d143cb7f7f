// What every nginx here is told: one worker, in the foreground, files of its own, connections that live.
import { existsSync } from 'node:fs';

export const NGINX = process.env.NGINX_BIN ?? ['/usr/sbin/nginx', '/usr/bin/nginx'].find(existsSync) ?? 'nginx';

/** Up to and into the block `http`; `keepalive_requests` because 1000 per connection would be thirty reconnects a second. */
export const nginxBasics = (dir, { connections = 1024 } = {}) => `
daemon off;
worker_processes 1;
${process.getuid() === 0 ? 'user root;' : ''}
pid ${dir}/nginx.pid;
events { worker_connections ${connections}; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${dir}/${what};`).join('\n  ')}
  keepalive_requests 1000000000;
  keepalive_timeout 1h;`;
