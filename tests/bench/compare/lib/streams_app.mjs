// An API that lasts: `/streams/events` sends stamped events, `/streams/echo` is a WebSocket that gives back what it gets.
//
// A stamp is the monotonic clock's nanoseconds, which all processes of a machine share. Events come in bursts of three
// within some milliseconds, as progress does: the second and third are those that Nagle's algorithm would hold back.
import { createServer } from 'node:http';

import { accept, frame, onMessages } from './websocket.mjs';

const BURST = 3;
const WITHIN_MS = 2;
const EVERY_MS = 50;
const FILLING = 'x'.repeat(100);

const server = createServer((req, res) => {
  if (!req.url.startsWith('/streams/events')) {
    res.writeHead(404).end();
    return;
  }
  res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const send = () => res.write(`data: ${process.hrtime.bigint()} ${FILLING}\n\n`);
  const burst = () => {
    for (let nth = 0; nth < BURST; nth += 1) setTimeout(send, nth * WITHIN_MS);
  };
  const timer = setInterval(burst, EVERY_MS);
  res.on('close', () => clearInterval(timer)).on('error', () => {});
});

server.on('upgrade', (req, socket, head) => {
  socket.setNoDelay(true);
  socket.on('error', () => {});
  socket.write([
    'HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept(req.headers['sec-websocket-key'])}`, '', '',
  ].join('\r\n'));
  onMessages(socket, head, (payload) => socket.write(frame(payload)));
});

server.listen(Number(process.env.PORT), '127.0.0.1');
