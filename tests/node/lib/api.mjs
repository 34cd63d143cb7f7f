// The API behind sealgate: it answers what it was asked, and remembers what it received.
//
// It takes only live access tokens, as a real one would. Its answers name what it got of `Authorization`, never the
// token itself: whatever of a token reaches a browser is sealgate's doing.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Short enough to read, long enough to tell tokens apart. */
export const fingerprint = (token) => createHash('sha256').update(token).digest('hex').slice(0, 16);

/**
 * Starts the API on a free loopback port. `accepts` decides about a bearer token, `about` says what an answer tells of it;
 * `delay` is the time an answer takes, in milliseconds, and may be changed later on the returned object. A path that ends in
 * `/events` is a stream of one event, which lasts until its reader goes; `?control=…` becomes an answer's `Cache-Control`.
 */
export async function startApi({ accepts = async () => true, about = () => ({}), delay = () => 0 } = {}) {
  const api = { received: [], delay };
  const streams = new Set();
  const server = createServer(async (req, res) => {
    const chunks = [];
    for await (const chunk of req) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const [scheme, token] = (req.headers.authorization ?? '').split(' ');
    const seen = { method: req.method, url: req.url, headers: req.headers, rawHeaders: req.rawHeaders, token, body };
    api.received.push(seen);
    const accepted = scheme === 'Bearer' && Boolean(token) && await accepts(token);
    if (accepted && req.url.endsWith('/events')) {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
      streams.add(res);
      res.on('close', () => streams.delete(res));
      return;
    }
    const answer = JSON.stringify({
      method: req.method,
      url: req.url,
      body,
      headerNames: Object.keys(req.headers).sort(),
      token: token ? fingerprint(token) : null,
      ...(accepted ? about(token) : {}),
      accepted,
    });
    await sleep(api.delay());
    const control = new URL(req.url, 'http://api').searchParams.get('control');
    res.writeHead(accepted ? 200 : 401, {
      'content-type': 'application/json', 'x-echo': 'yes', ...(control ? { 'cache-control': control } : {}),
    });
    res.end(answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(api, {
    url: `http://127.0.0.1:${server.address().port}`,
    last: () => api.received.at(-1),
    /** How many event streams (`…/events`) have a reader. */
    openStreams: () => streams.size,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  });
}
