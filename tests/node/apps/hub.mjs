// A SignalR hub in miniature: negotiation, WebSocket, the JSON protocol, and one method that gives back its argument.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

/** What ends a message of SignalR's JSON protocol. */
const END = '\u001e';
const ACCEPT = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Starts it until the test `t` ends; gives its address. */
export async function startHub(t) {
  const server = createServer((req, res) => {
    req.resume();
    res.setHeader('content-type', 'application/json').end(JSON.stringify({
      negotiateVersion: 1,
      connectionId: 'one',
      connectionToken: 'one',
      availableTransports: [{ transport: 'WebSockets', transferFormats: ['Text'] }],
    }));
  });
  const sockets = new Set();
  server.on('upgrade', (req, socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    const accept = createHash('sha1').update(req.headers['sec-websocket-key'] + ACCEPT).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    let rest = Buffer.alloc(0);
    socket.on('data', (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      for (let frame = take(rest); frame; frame = take(rest)) {
        rest = frame.rest;
        if (frame.opcode === CLOSE) socket.end(Buffer.from([0x80 | CLOSE, 0]));
        else if (frame.opcode === TEXT) hear(frame.text, (message) => socket.write(text(message)));
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    sockets.forEach((socket) => socket.destroy());
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

function hear(messages, say) {
  for (const message of messages.split(END).filter(Boolean).map((one) => JSON.parse(one))) {
    if (message.protocol) say({});
    if (message.type === 1) say({ type: 3, invocationId: message.invocationId, result: message.arguments[0] });
  }
}

// Frames of RFC 6455 §5.2, short ones only.
const TEXT = 1;
const CLOSE = 8;

function take(bytes) {
  const length = bytes.length < 2 ? Infinity : bytes[1] & 0x7f;
  if (length > 125) {
    if (length !== Infinity) throw new Error('the hub reads short frames only');
    return undefined;
  }
  if (bytes.length < 6 + length) return undefined;
  const mask = bytes.subarray(2, 6);
  const said = Buffer.from(bytes.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4]));
  return { opcode: bytes[0] & 0x0f, text: said.toString(), rest: bytes.subarray(6 + length) };
}

function text(message) {
  const said = Buffer.from(JSON.stringify(message) + END);
  if (said.length > 125) throw new Error('the hub writes short frames only');
  return Buffer.concat([Buffer.from([0x80 | TEXT, said.length]), said]);
}
