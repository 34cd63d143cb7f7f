// The proxies of src/server/deploy in front of sealgate: the very files, with the story's addresses in them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { listens } from './ports.mjs';
import { program } from './programs.mjs';
import { PATIENCE_MS } from './waiting.mjs';

const DEPLOY = new URL('../../../src/server/deploy/', import.meta.url);

/** Replaces each of `[what, by]`, and complains of what the file does not say. */
function replaced(text, replacements) {
  return replacements.reduce((now, [what, by]) => {
    if (!now.includes(what)) throw new Error(`the file does not say ${JSON.stringify(what)}\n${now}`);
    return now.replaceAll(what, by);
  }, text);
}

/** How each proxy is told its file, and which addresses are in it. */
export const FRONTS = {
  nginx: {
    file: 'nginx.conf',
    replacements: ({ front, port, tls }) => [
      ['listen 443 ssl http2', `listen 127.0.0.1:${front} ssl http2`],
      ['127.0.0.1:8080', `127.0.0.1:${port}`],
      ['/etc/ssl/shop.crt', tls.cert],
      ['/etc/ssl/shop.key', tls.key],
      ['shop.example.com;', 'localhost;'],
    ],
    // The file is for the block `http`; what nginx would put into /var is this story's.
    whole: (text, dir) => `
worker_processes 1;
${process.getuid() === 0 ? 'user root;' : ''}
pid ${dir}/nginx.pid;
events { worker_connections 256; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${dir}/${what};`).join('\n  ')}
  ${text}
}`,
    command: (config, dir) => ['-c', config, '-p', dir, '-g', `daemon off; error_log stderr notice;`],
  },
  haproxy: {
    file: 'haproxy.cfg',
    replacements: ({ front, port, adminPort, tls }) => [
      ['bind :443', `bind 127.0.0.1:${front}`],
      ['127.0.0.1:8080', `127.0.0.1:${port}`],
      ['check port 9090', `check port ${adminPort}`],
      ['/etc/ssl/shop.pem', tls.both],
    ],
    whole: (text) => text,
    command: (config) => ['-db', '-f', config],
  },
  caddy: {
    file: 'Caddyfile',
    replacements: ({ front, port, tls }) => [
      ['shop.example.com {', `https://localhost:${front} {\n\tbind 127.0.0.1\n\ttls ${tls.cert} ${tls.key}`],
      ['127.0.0.1:8080', `127.0.0.1:${port}`],
    ],
    whole: (text) => `{\n\tadmin off\n\tauto_https disable_redirects\n\tgrace_period 1s\n}\n${text}`,
    command: (config) => ['run', '--adapter', 'caddyfile', '--config', config],
  },
  envoy: {
    file: 'envoy.yaml',
    replacements: ({ front, port, tls }) => [
      ['address: 0.0.0.0, port_value: 443', `address: 127.0.0.1, port_value: ${front}`],
      ['port_value: 8080', `port_value: ${port}`],
      ['/etc/ssl/shop.crt', tls.cert],
      ['/etc/ssl/shop.key', tls.key],
    ],
    whole: (text) => text,
    command: (config) => ['-c', config, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warning'],
  },
};

/** Starts the proxy `name` and waits until it takes connections. `at` has the ports `front`, `port`, `adminPort`, and `tls`. */
export async function startFront(name, { dir: scratch, ...at }) {
  const { file, replacements, whole, command } = FRONTS[name];
  const dir = join(scratch, name);
  await mkdir(dir);
  const both = join(dir, 'both.pem');
  await writeFile(both, `${await readFile(at.tls.cert)}${await readFile(at.tls.key)}`, { mode: 0o600 });
  const text = replaced(await readFile(new URL(file, DEPLOY), 'utf8'), replacements({ ...at, tls: { ...at.tls, both } }));
  const config = join(dir, file);
  await writeFile(config, whole(text, dir));
  const child = spawn(program(name), command(config, dir), {
    cwd: dir, env: { PATH: process.env.PATH, HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (more) => { output += more; });
  let exit;
  const gone = once(child, 'exit').then(([code, signal]) => { exit = { code, signal }; });
  const front = {
    log: () => output,
    async stop() {
      // Each of them ends its own children then, and does not wait for streams.
      if (!exit) child.kill('SIGTERM');
      await gone;
    },
  };
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline && !exit; await sleep(50)) {
    if (await listens(at.front)) return front;
  }
  await front.stop();
  throw new Error(`${name} does not start (${JSON.stringify(exit)})\n${output}`);
}
