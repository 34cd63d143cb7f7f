// The ways in which a client can leave a connection half finished, and how long a server bears it.
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';

const READY_MS = 20_000;
const head = ({ host }, line, ...more) => [`${line} HTTP/1.1`, `Host: ${host}`, 'X-CSRF: 1', ...more, ''].join('\r\n');
const whole = (lane) => `${head(lane, 'GET /open/1k.json')}\r\n`;
const post = (lane) => `${head(lane, 'POST /open/upload', 'Content-Type: text/plain', 'Content-Length: 1000')}\r\n`;
const LONG = Array.from({ length: 60 }, (_, nth) => `X-Long-${nth}: ${'x'.repeat(1000)}`);
// RFC 9113 §3.4, §6.5, §6.2: an empty SETTINGS frame; HEADERS on stream 1 with `:method: GET` alone, and no END_HEADERS.
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const SETTINGS = '\0\0\0\x04\0\0\0\0\0';
const HEADERS = '\0\0\x01\x01\0\0\0\0\x01\x82';

/** What each connection does; `tls`: whether the proxy has it. Nobody is signed in on them. */
export const STATES = [
  { id: 'silent', name: 'not a byte', reach: (lane) => tcp(lane, '') },
  { id: 'line', name: 'half a request line', reach: (lane) => tcp(lane, 'GET /open/1k') },
  { id: 'head', name: 'a head without end', reach: (lane) => tcp(lane, head(lane, 'GET /open/1k.json')) },
  { id: 'long-head', name: 'a head of 60 KiB without end', reach: (lane) => tcp(lane, head(lane, 'GET /open/1k.json', ...LONG)) },
  { id: 'second-head', name: 'a second head begun, on a kept connection', reach: secondHead },
  { id: 'body', name: 'a body announced and not sent', reach: (lane) => tcp(lane, post(lane)) },
  { id: 'body-begun', name: 'a body of which one byte is sent', reach: (lane) => tcp(lane, `${post(lane)}x`) },
  { id: 'hello-begun', name: 'TLS: 40 bytes of a hello', tls: true, reach: async (lane) => tcp(lane, (await hello()).subarray(0, 40)) },
  { id: 'hello', name: 'TLS: a hello, nothing after it', tls: true, reach: async (lane) => tcp(lane, await hello()) },
  { id: 'tls-silent', name: 'TLS: the handshake, not a byte after it', tls: true, reach: (lane) => tls(lane, '') },
  { id: 'tls-head', name: 'TLS: a head without end', tls: true, reach: (lane) => tls(lane, head(lane, 'GET /open/1k.json')) },
  { id: 'h2-preface', name: 'HTTP/2: the preface, nothing after it', tls: true, reach: (lane) => tls(lane, PREFACE, 'h2') },
  { id: 'h2-settings', name: 'HTTP/2: preface and settings, nothing after them', tls: true, reach: (lane) => tls(lane, PREFACE + SETTINGS, 'h2') },
  { id: 'h2-head', name: 'HTTP/2: a head without end', tls: true, reach: (lane) => tls(lane, PREFACE + SETTINGS + HEADERS, 'h2') },
];

/** Thrown by a state that cannot be reached, as the proxy does not offer what it begins with. */
export class NotOffered extends Error {}

async function tcp({ port }, bytes) {
  const socket = patient(connectTcp({ host: '127.0.0.1', port }));
  await ready(socket, 'connect');
  if (bytes.length) socket.write(bytes);
  return socket;
}

async function tls({ port, tls: { pem } }, bytes, protocol = 'http/1.1') {
  const options = { host: '127.0.0.1', port, servername: 'localhost', ca: pem, ALPNProtocols: [protocol] };
  const socket = patient(connectTls(options));
  try {
    await ready(socket, 'secureConnect');
  } catch (error) {
    // A server that speaks none of the client's protocols ends the handshake (RFC 7301 §3.2).
    if (error.code === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL') throw new NotOffered('HTTP/2 is not offered');
    throw error;
  }
  if (protocol === 'h2' && socket.alpnProtocol !== 'h2') {
    socket.destroy();
    throw new NotOffered('HTTP/2 is not offered');
  }
  if (bytes.length) socket.write(bytes, 'latin1');
  return socket;
}

async function secondHead(lane) {
  const socket = await tcp(lane, whole(lane));
  const [answer] = await once(socket, 'data', { signal: AbortSignal.timeout(READY_MS) });
  if (!answer.toString('latin1').startsWith('HTTP/1.1 200 ')) throw new Error(`the first request: ${answer.subarray(0, 60)}`);
  socket.write('GET /open/1k');
  return socket;
}

/** Reads whatever comes, so that the end of the connection is seen. */
function patient(socket) {
  return socket.on('error', () => {}).resume();
}

const ready = (socket, event) => once(socket, event, { signal: AbortSignal.timeout(READY_MS) });

let recorded;
/** The first bytes that a TLS client sends. */
function hello() {
  recorded ??= new Promise((resolve) => {
    const wire = new Duplex({ read() {}, write: (chunk, _encoding, done) => { resolve(chunk); done(); } });
    connectTls({ socket: wire, servername: 'localhost' }).on('error', () => {});
  });
  return recorded;
}
