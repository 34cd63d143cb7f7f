// Free loopback ports, for programs that must be told theirs.
import { once } from 'node:events';
import { createServer } from 'node:net';

/** As many different free ports as asked for; held together until all are known, so that none comes twice. */
export async function freePorts(count) {
  const servers = [];
  for (let i = 0; i < count; i += 1) {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
  }
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
