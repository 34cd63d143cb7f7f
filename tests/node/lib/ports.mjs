// Free loopback ports, for programs that must be told theirs.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** Below the ports that systems give to outgoing connections: between the search and the program's start none takes one. */
const FIRST = 10_000;
/** Stories run side by side, each in a process of its own: each has a range of its own, by its process id. */
const RANGES = 100;
const RANGE = 200;

const first = FIRST + (process.pid % RANGES) * RANGE;
let next = 0;

/** As many different free ports as asked for. None comes twice before the whole range has been given. */
export async function freePorts(count) {
  const ports = [];
  for (let tries = 0; ports.length < count; tries += 1) {
    if (tries > RANGE) throw new Error(`no ${count} free ports from ${first} on`);
    const port = first + next;
    next = (next + 1) % RANGE;
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

async function isFree(port) {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  await once(server.close(), 'close');
  return true;
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
