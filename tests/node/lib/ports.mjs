// Free loopback ports, for programs that must be told theirs.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** Below the ports that systems give to outgoing connections: between the search and the program's start none takes one. */
const FIRST = 10_000;
/** Stories run side by side, each in a process of its own: each claims a range. */
const RANGES = 100;
const RANGE = 200;

let claimed;
let next = 1;

/** As many different free ports as asked for. None comes twice before the whole range has been given. */
export async function freePorts(count) {
  claimed ??= claim();
  const first = await claimed;
  const ports = [];
  for (let tries = 0; ports.length < count; tries += 1) {
    if (tries > RANGE) throw new Error(`no ${count} free ports from ${first} on`);
    const port = first + next;
    next = next + 1 < RANGE ? next + 1 : 1;
    const server = await listenOn(port);
    if (!server) continue;
    await once(server.close(), 'close');
    ports.push(port);
  }
  return ports;
}

/** A range is claimed by listening on its first port: only one process can, and its end gives the range back. */
async function claim() {
  for (let tries = 0; tries < RANGES; tries += 1) {
    const first = FIRST + ((process.pid + tries) % RANGES) * RANGE;
    const holder = await listenOn(first);
    holder?.unref();
    if (holder) return first;
  }
  throw new Error(`each range of ports from ${FIRST} on is claimed`);
}

async function listenOn(port) {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    return server;
  } catch {
    return undefined;
  }
}

/** Whether somebody takes connections there. */
export async function listens(port) {
  const socket = connect({ host: '127.0.0.1', port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
