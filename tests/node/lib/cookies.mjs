// sealgate's cookies on the wire: the table of names and attributes, and an audit of everything a browser was sent.
import { isDeletion, parseSetCookie } from './jar.mjs';

const BUDGET = 8 * 1024;

/**
 * The names of one frontend. Over plain HTTP (loopback, development) the prefix is another and `Secure` is missing,
 * because a browser keeps `__Host-Http-` for secure origins.
 */
export function cookieNames(frontend, { tls }) {
  const base = tls ? `__Host-Http-${frontend}` : `sealgate-${frontend}`;
  const escaped = base.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return {
    session: new RegExp(`^${escaped}(\\.[12])?$`),
    seen: new RegExp(`^${escaped}-seen$`),
    login: new RegExp(`^${escaped}-login\\.[A-Za-z0-9_-]+$`),
    out: new RegExp(`^${escaped}-out$`),
    hint: new RegExp(`^${tls ? '__Http' : 'sealgate'}-${frontend}-hint$`),
    device: new RegExp(`^${tls ? '__Host' : 'sealgate'}-${frontend}-device$`),
  };
}

/** Which kind of cookie a name is: `session`, `seen`, `login`, `out`, `hint`, `device` or nothing. */
export const kindOf = (names, name) => Object.keys(names).find((kind) => names[kind].test(name));

/** The cookies of an answer as `{ kind, deleted, … }`. */
export const cookiesOf = (answer, names) => answer.setCookies.map((line) => {
  const cookie = parseSetCookie(line);
  return { ...cookie, kind: kindOf(names, cookie.name), deleted: isDeletion(cookie) };
});

/** Kinds of the cookies that a jar holds for a host, sorted, each once. */
export const kindsHeld = (jar, hostname, names) => [...new Set(
  [...jar.of(hostname).keys()].map((name) => kindOf(names, name) ?? `unknown ${name}`),
)].sort();

/** Checks every answer of one origin; gives sentences about what is wrong. */
export function auditCookies(answers, { origin, names, tls, sameSite = 'Strict', loginSite = 'Lax' }) {
  const wrong = [];
  for (const answer of answers.filter(({ url }) => new URL(url).origin === origin)) {
    const where = `${answer.method} ${new URL(answer.url).pathname} → ${answer.status}`;
    const cookies = cookiesOf(answer, names);
    for (const cookie of cookies) {
      wrong.push(...auditOne(cookie, { tls, sameSite, loginSite }).map((what) => `${where}: ${cookie.name}: ${what}`));
    }
    const twice = cookies.map(({ name }) => name).filter((name, i, all) => all.indexOf(name) !== i);
    if (twice.length) wrong.push(`${where}: set twice in one answer: ${twice}`);
    if (cookies.length && !/\bno-store\b/.test(answer.headers['cache-control'] ?? '')) {
      wrong.push(`${where}: has Set-Cookie without no-store (Cache-Control: ${answer.headers['cache-control']})`);
    }
    if (Buffer.byteLength(answer.sentCookie) > BUDGET && new URL(answer.url).pathname.startsWith('/api')) {
      wrong.push(`${where}: ${Buffer.byteLength(answer.sentCookie)} bytes of cookies on an API request`);
    }
  }
  return wrong;
}

function auditOne({ name, value, kind, deleted, attributes }, { tls, sameSite, loginSite }) {
  if (!kind) return ['not one of the documented names'];
  const wrong = [];
  const expect = (key, wanted) => {
    if (attributes[key] !== wanted) wrong.push(`${key} is ${attributes[key]}, not ${wanted}${deleted ? ' (deletion)' : ''}`);
  };
  expect('httponly', true);
  expect('secure', tls ? true : undefined);
  expect('domain', undefined);
  expect('path', kind === 'hint' ? '/bff/logout' : '/');
  if (kind === 'login') expect('samesite', loginSite);
  else if (kind !== 'hint') expect('samesite', sameSite);
  else if (!['Strict', 'Lax'].includes(attributes.samesite)) wrong.push(`samesite is ${attributes.samesite}`);
  if (Buffer.byteLength(name) + Buffer.byteLength(value) > 4096) wrong.push('over 4096 bytes');
  if (!deleted && !/^[A-Za-z0-9_-]+$/.test(value)) wrong.push('the value is not base64url');
  const age = attributes['max-age'] === undefined ? undefined : Number(attributes['max-age']);
  if (kind === 'login' && !deleted && age !== undefined && age > 600) wrong.push(`lives ${age} s`);
  return wrong;
}
