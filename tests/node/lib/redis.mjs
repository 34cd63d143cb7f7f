// A Redis or Valkey of one's own on a free loopback port: started, killed, frozen, and started again with its data.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { freePorts } from './ports.mjs';
import { program } from './programs.mjs';
import { PATIENCE_MS } from './waiting.mjs';

/**
 * Starts a server that keeps its data in `dir`, or only in memory if `isKept` is false. `url` is where it is, `url` of another start
 * is the same. sealgate is told of it by `table`, and by a file in `dir`.
 */
export async function startRedis({ dir, isKept = true }) {
  const [port] = await freePorts(1);
  let child;
  let gone;

  const start = async () => {
    child = spawn(program('redis'), [
      '--port', port, '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', isKept ? 'yes' : 'no', '--appendfsync', 'always',
    ].map(String), { stdio: 'ignore' });
    gone = once(child, 'exit');
    const deadline = Date.now() + PATIENCE_MS;
    while (await ask(port, 'PING').catch(() => '') !== '+PONG') {
      if (Date.now() > deadline || child.exitCode !== null) throw new Error('redis-server is not ready');
      await sleep(20);
    }
  };
  const end = async (signal) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGCONT');
    child.kill(signal);
    await gone;
  };
  await start();
  const url = `redis://127.0.0.1:${port}/`;
  const file = join(dir, 'store-url');
  await writeFile(file, url, { mode: 0o600 });
  return {
    url,
    /** The table of sealgate's configuration that names it, with more lines. */
    table: (more = '') => `\n[coordination]\nurl = { file = ${JSON.stringify(file)} }\n${more}\n`,
    start,
    /** Gone at once, as by a power cut; what it had acknowledged is on disk. */
    kill: () => end('SIGKILL'),
    /** Takes connections, and answers nothing. */
    freeze: () => child.kill('SIGSTOP'),
    thaw: () => child.kill('SIGCONT'),
    stop: () => end('SIGTERM'),
    /** One inline command; the first line of its answer. */
    ask: (command) => ask(port, command),
    port,
    /** Puts so many entries of so many bytes into a stream. */
    fill: (stream, count, bytes) => ask(
      port, `EVAL "for i=1,${count} do redis.call('XADD', KEYS[1], '*', 'v', string.rep('x', ${bytes})) end" 1 ${stream}`, 60_000,
    ),
    /** Everything that is stored, as the file on disk shows it. */
    everything: () => dump(port),
  };
}

function ask(port, command, patience = 1000) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`${command}\r\n`));
    socket.setTimeout(patience, () => socket.destroy(new Error('no answer')));
    let text = '';
    socket.on('error', reject).on('data', (data) => {
      text += data.toString('latin1');
      if (!text.includes('\r\n')) return;
      socket.destroy();
      resolve(text.split('\r\n')[0]);
    });
  });
}

/** Keys and values of every type that is used, as one text in which secrets can be searched. */
async function dump(port) {
  const all = (command) => new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(`${command}\r\nQUIT\r\n`));
    let text = '';
    socket.on('error', reject).on('data', (data) => { text += data.toString('latin1'); }).on('close', () => resolve(text));
  });
  const names = (await all('KEYS *')).split('\r\n').filter((line) => line && !/^[*$+]/.test(line));
  let text = names.join('\n');
  for (const name of names) {
    const kind = await ask(port, `TYPE ${name}`);
    text += await all(kind === '+stream' ? `XRANGE ${name} - +` : `GET ${name}`);
  }
  return { names, text };
}
