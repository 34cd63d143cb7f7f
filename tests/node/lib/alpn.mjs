// One GET over TLS by a client that offers HTTP/2 and HTTP/1.1, as every browser does.
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { get } from 'node:https';
import { connect } from 'node:tls';

/** Whatever the resolver says of localhost, the servers here listen on IPv4. */
export const lookup = (_host, { all }, done) => (
  all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4));

/** Takes the protocol that the server chose (RFC 7301), and gives it along with the answer. */
export async function asBrowsersConnect(url, ca, headers) {
  const { port, pathname } = new URL(url);
  const probe = connect({ host: '127.0.0.1', port, servername: 'localhost', ca, ALPNProtocols: ['h2', 'http/1.1'] });
  await once(probe, 'secureConnect');
  const protocol = probe.alpnProtocol || 'http/1.1';
  probe.destroy();
  if (protocol === 'h2') {
    const session = connectHttp2(new URL(url).origin, { ca, lookup });
    try {
      const stream = session.request({ ':path': pathname, ...headers });
      const [{ ':status': status }] = await once(stream, 'response');
      return { protocol, status, body: await text(stream) };
    } finally {
      session.destroy();
    }
  }
  const request = get(url, { ca, agent: false, headers, lookup });
  const [response] = await once(request, 'response');
  return { protocol, status: response.statusCode, body: await text(response) };
}

async function text(stream) {
  let body = '';
  for await (const chunk of stream.setEncoding('utf8')) body += chunk;
  return body;
}
