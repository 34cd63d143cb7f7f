// A collector of traces: OTLP over HTTP (protobuf). It takes everything, and counts the spans and bytes that it got.
import { once } from 'node:events';
import { createServer } from 'node:http';

/** What a field of a message holds that is one itself (protobuf, "Encoding": wire type 2). */
const LENGTH_DELIMITED = 2;

/** Starts it; gives `{ env, counts() }`: what tells a program to export here, and what came so far. */
export async function startCollector({ ends }) {
  const counts = { exports: 0, spans: 0, bytes: 0 };
  const server = createServer((request, response) => {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece)).on('end', () => {
      const body = Buffer.concat(pieces);
      counts.exports += 1;
      counts.bytes += body.length;
      // ExportTraceServiceRequest.resource_spans = 1, ResourceSpans.scope_spans = 2, ScopeSpans.spans = 2
      for (const ofResource of fields(body, 1)) {
        for (const ofScope of fields(ofResource, 2)) counts.spans += [...fields(ofScope, 2)].length;
      }
      response.writeHead(200, { 'content-type': 'application/x-protobuf', 'content-length': 0 }).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => { server.close(); server.closeAllConnections(); });
  return {
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.address().port}`,
      OTEL_TRACES_SAMPLER: 'always_on',
    },
    counts: () => ({ ...counts }),
  };
}

/** The messages in `message` that stand under this number. */
function* fields(message, wanted) {
  let at = 0;
  const varint = () => {
    for (let value = 0, factor = 1; ; factor *= 128) {
      const byte = message[at];
      at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const key = varint();
    if ((key & 7) !== LENGTH_DELIMITED) throw new Error('a field that OTLP does not have here');
    const length = varint();
    if (key >> 3 === wanted) yield message.subarray(at, at + length);
    at += length;
  }
}
