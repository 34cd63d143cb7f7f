// A line to a server that carries so many bytes a second towards the client, and no more.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Listens, and passes each connection on to `port`. `carried` counts what has come through. */
export async function slowLine(port, bytesPerSecond) {
  const line = { carried: 0 };
  const sockets = new Set();
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => { client.destroy(); upstream.destroy(); sockets.delete(socket); });
    }
    client.pipe(upstream);
    upstream.on('data', async (piece) => {
      upstream.pause();
      line.carried += piece.length;
      client.write(piece);
      await sleep((piece.length / bytesPerSecond) * 1000);
      upstream.resume();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  line.port = server.address().port;
  line.stop = async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return line;
}
