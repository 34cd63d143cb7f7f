// What a browser does for a session that is bound to a device (DBSC): it registers a key, and proves that it has it.
import { generateKeyPairSync, sign } from 'node:crypto';

const base64url = (text) => Buffer.from(text).toString('base64url');

/** Binds the lane's session; gives a function that proves the key once more, which brings a new device cookie. */
export async function bind(lane) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { crv, kty, x, y } = publicKey.export({ format: 'jwk' });
  const proof = (head, challenge) => {
    const input = [{ alg: 'ES256', ...head, typ: 'dbsc+jwt' }, { jti: challenge }].map((part) => base64url(JSON.stringify(part))).join('.');
    return `${input}.${sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
  };
  const send = async (path, headers) => {
    const answer = await lane.browser.fetch(path, { method: 'POST', headers, page: new URL(lane.origin), mode: 'no-cors' });
    return { ...answer, challenge: answer.headers['secure-session-challenge']?.match(/^"([^"]+)"/)?.[1] };
  };
  const { headers } = await lane.browser.fetch('/bff/session', { headers: { 'x-csrf': '1' }, page: new URL(lane.origin) });
  const offered = headers['secure-session-registration']?.match(/;challenge="([^"]+)"$/)?.[1];
  if (!offered) throw new Error('the session is not offered to be bound');
  const registered = await send('/bff/device', { 'secure-session-response': proof({ jwk: { crv, kty, x, y } }, offered) });
  if (registered.status !== 200) throw new Error(`registering ends with ${registered.status}: ${registered.body}`);
  const { session_identifier: id } = JSON.parse(registered.body);
  let { challenge } = registered;
  return async () => {
    let answer;
    // The first challenge may be stale by now: then the answer brings another one.
    for (const _ of [1, 2]) {
      answer = await send('/bff/device/refresh', { 'sec-secure-session-id': id, 'secure-session-response': proof({}, challenge) });
      challenge = answer.challenge ?? challenge;
      if (answer.status !== 403) break;
    }
    if (answer.status !== 200) throw new Error(`proving ends with ${answer.status}: ${answer.body}`);
  };
}
