// A browser's cookie jar, strict where browsers are (RFC 6265bis): prefixes, sizes, Path, Secure, SameSite.
//
// A cookie that a browser would refuse is refused, and written to `refused`: stories expect that list to stay empty.

const MAX_PAIR = 4096;
const MAX_ATTRIBUTE = 1024;

/** Splits a `Set-Cookie` value; attribute names in lower case. */
export function parseSetCookie(line) {
  const [pair, ...rest] = line.split(';');
  const at = pair.indexOf('=');
  const attributes = {};
  for (const part of rest) {
    const [key, ...value] = part.split('=');
    attributes[key.trim().toLowerCase()] = value.length ? value.join('=').trim() : true;
  }
  return { name: pair.slice(0, at).trim(), value: pair.slice(at + 1).trim(), attributes, line };
}

/** Whether a `Set-Cookie` takes a cookie away. */
export function isDeletion({ attributes }) {
  if (attributes['max-age'] !== undefined) return Number(attributes['max-age']) <= 0;
  return attributes.expires !== undefined && Date.parse(attributes.expires) <= Date.now();
}

/** Two addresses are of one site if scheme and host agree (ports never count; no public suffixes on loopback). */
export const sameSite = (a, b) => a.protocol === b.protocol && a.hostname === b.hostname;

export class Jar {
  #cookies = new Map();
  /** What a browser would not have stored, with the reason. */
  refused = [];
  #trusts;

  /** @param {object} options `trusts`: hosts to which `Secure` cookies go without TLS, as browsers do with loopback */
  constructor({ trusts = [] } = {}) {
    this.#trusts = trusts;
  }

  /** Takes the `Set-Cookie` lines of an answer from `url`. */
  store(url, lines) {
    for (const line of lines) {
      const cookie = parseSetCookie(line);
      const reason = whyRefused(url, cookie, this.#isSecure(url));
      if (reason) {
        this.refused.push({ reason, name: cookie.name, url: url.href });
        continue;
      }
      const path = cookie.attributes.path?.startsWith?.('/') ? cookie.attributes.path : defaultPath(url);
      const key = `${url.hostname}|${path}|${cookie.name}`;
      if (isDeletion(cookie)) this.#cookies.delete(key);
      else this.#cookies.set(key, { ...cookie, host: url.hostname, path, expires: expiry(cookie) });
    }
  }

  /**
   * What a browser would send to `url`.
   * @param {'none'|'same'|'cross'} site how the request relates to who began it
   * @param {boolean} lax whether this is a top-level navigation with a safe method
   */
  matching(url, { site, lax }) {
    return [...this.#cookies.values()].filter((cookie) => {
      if (cookie.host !== url.hostname || !pathMatches(url.pathname, cookie.path)) return false;
      if (cookie.expires <= Date.now() || (cookie.attributes.secure && !this.#isSecure(url))) return false;
      if (site !== 'cross') return true;
      const rule = String(cookie.attributes.samesite ?? 'Lax').toLowerCase();
      return rule === 'none' || (rule === 'lax' && lax);
    });
  }

  /** All live cookies of a host, by name. */
  of(hostname) {
    const live = [...this.#cookies.values()].filter((c) => c.host === hostname && c.expires > Date.now());
    return new Map(live.map((cookie) => [cookie.name, cookie]));
  }

  /** A second jar with the same content: a browser that has not yet seen newer answers. */
  copy() {
    const jar = new Jar({ trusts: this.#trusts });
    jar.#cookies = new Map(this.#cookies);
    return jar;
  }

  #isSecure(url) {
    return url.protocol === 'https:' || this.#trusts.includes(url.hostname);
  }
}

function whyRefused(url, { name, value, attributes }, isSecure) {
  const has = (prefix) => name.toLowerCase().startsWith(prefix.toLowerCase());
  if (Buffer.byteLength(name) + Buffer.byteLength(value) > MAX_PAIR) return 'name and value over 4096 bytes';
  for (const [key, text] of Object.entries(attributes)) {
    if (Buffer.byteLength(String(text)) > MAX_ATTRIBUTE) return `attribute ${key} over 1024 bytes`;
  }
  if (attributes.domain !== undefined) return 'Domain is set: no cookie here should leave its host';
  if (attributes.secure && !isSecure) return 'Secure from an insecure origin';
  if (String(attributes.samesite).toLowerCase() === 'none' && !attributes.secure) return 'SameSite=None without Secure';
  const secure = has('__Secure-') || has('__Host-') || has('__Http-');
  if (secure && !attributes.secure) return 'prefix without Secure';
  if (has('__Host-') && attributes.path !== '/') return '__Host- without Path=/';
  if ((has('__Host-Http-') || has('__Http-')) && !attributes.httponly) return 'prefix without HttpOnly';
  return undefined;
}

const defaultPath = (url) => url.pathname.slice(0, url.pathname.lastIndexOf('/')) || '/';

const pathMatches = (path, prefix) => path === prefix
  || (path.startsWith(prefix) && (prefix.endsWith('/') || path[prefix.length] === '/'));

function expiry({ attributes }) {
  if (attributes['max-age'] !== undefined) return Date.now() + Number(attributes['max-age']) * 1000;
  return attributes.expires === undefined ? Infinity : Date.parse(attributes.expires);
}
