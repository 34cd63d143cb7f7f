// A browser without a window: redirects, cookies, forms, Fetch Metadata, and a record of every byte it received.
//
// Built on `node:http`, because node's `fetch` claims `Sec-Fetch-Mode: cors` for everything and hides redirects. It
// asks for no content coding, so that what it recorded can be searched as text.
import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';

import { lookup } from './alpn.mjs';
import { Jar, sameSite } from './jar.mjs';
import { PATIENCE_MS } from './waiting.mjs';

const MAX_HOPS = 12;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export class Browser {
  #agents;

  /** @param {object} options `ca`: certificate to trust; `jar`: cookies to begin with */
  constructor({ ca, jar = new Jar() } = {}) {
    this.jar = jar;
    /** The page that is shown: URL and text. */
    this.url = undefined;
    this.page = '';
    /** How an address begins that an app of the device takes over: a redirect there is not followed. */
    this.leavesTo = undefined;
    /** Every answer: `{ method, url, status, reason, rawHeaders, headers, setCookies, body, early }`. */
    this.answers = [];
    this.#agents = { 'http:': new HttpAgent({ keepAlive: true }), 'https:': new HttpsAgent({ keepAlive: true, ca }) };
  }

  /** The user types an address or opens a bookmark: nobody began it. */
  open(url) {
    return this.#navigate(new URL(url), { initiator: undefined });
  }

  /** The user follows a link of the page, or its script sets `location`. */
  click(href) {
    return this.#navigate(new URL(href, this.url), { initiator: this.url });
  }

  /** The user fills in the page's first form and sends it. A list is of values that go by one name. */
  submit(fields = {}) {
    const { action, method, hidden } = firstForm(this.page, this.url);
    const pairs = Object.entries({ ...hidden, ...fields }).flatMap(([name, values]) => [values].flat().map((value) => [name, value]));
    const body = new URLSearchParams(pairs).toString();
    if (method === 'get') {
      action.search = body;
      return this.#navigate(action, { initiator: this.url });
    }
    return this.#navigate(action, { initiator: this.url, method: 'POST', body });
  }

  /** What a page's script does with `fetch(path, { redirect: 'manual' })`. `page` is where the script runs. */
  async fetch(path, { method = 'GET', headers = {}, body, page = this.url, mode = 'cors' } = {}) {
    const url = new URL(path, page);
    const site = relation(page, [url]);
    return this.#exchange(url, {
      method,
      body,
      cookies: { site: site === 'cross-site' ? 'cross' : 'same', lax: false },
      headers: {
        accept: '*/*',
        ...(method === 'GET' || method === 'HEAD' ? {} : { origin: page.origin }),
        'sec-fetch-site': site,
        'sec-fetch-mode': mode,
        'sec-fetch-dest': 'empty',
        ...headers,
      },
    });
  }

  /** Closes idle connections. */
  close() {
    for (const agent of Object.values(this.#agents)) agent.destroy();
  }

  async #navigate(target, { initiator, method = 'GET', body }) {
    const chain = [];
    const hops = [];
    let url = target;
    for (let step = { method, body }; hops.length < MAX_HOPS;) {
      chain.push(url);
      const site = relation(initiator, chain);
      const answer = await this.#exchange(url, {
        ...step,
        cookies: { site: site === 'cross-site' ? 'cross' : 'same', lax: step.method === 'GET' },
        headers: {
          accept: 'text/html,application/xhtml+xml,*/*;q=0.8',
          'upgrade-insecure-requests': '1',
          ...(step.body === undefined ? {} : { origin: initiator.origin, 'content-type': 'application/x-www-form-urlencoded' }),
          'sec-fetch-site': site,
          'sec-fetch-mode': 'navigate',
          'sec-fetch-user': '?1',
          'sec-fetch-dest': 'document',
        },
      });
      hops.push(answer);
      const { location } = answer.headers;
      if (!REDIRECTS.has(answer.status) || !location) {
        this.url = url;
        this.page = answer.body;
        return { ...answer, hops };
      }
      url = new URL(location, url);
      if (this.leavesTo && url.href.startsWith(this.leavesTo)) {
        this.url = url;
        this.page = '';
        return { ...answer, hops };
      }
      // RFC 9110 §15.4: 303 always becomes GET, and browsers make POST a GET on 301 and 302 too.
      if (answer.status < 307) step = { method: 'GET' };
    }
    throw new Error(`more than ${MAX_HOPS} redirects:\n${hops.map((hop) => `${hop.status} ${hop.url}`).join('\n')}`);
  }

  #exchange(url, { method, body, headers, cookies }) {
    const sent = this.jar.matching(url, cookies).map(({ name, value }) => `${name}=${value}`).join('; ');
    const options = {
      method,
      agent: this.#agents[url.protocol],
      lookup,
      headers: {
        'user-agent': 'story-browser',
        ...headers,
        ...(sent ? { cookie: sent } : {}),
        ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
      },
    };
    return new Promise((resolve, reject) => {
      const early = [];
      const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options);
      request.setTimeout(PATIENCE_MS, () => request.destroy(new Error(`no answer within ${PATIENCE_MS / 1000} s: ${method} ${url.href}`)));
      request.on('information', (info) => early.push(info.rawHeaders.join('\n')));
      // As browsers do: a kept connection that the server has closed meanwhile is no failure of a request (RFC 9110 §9.2.2).
      const failed = (error) => (request.reusedSocket && error.code === 'ECONNRESET'
        ? resolve(this.#exchange(url, { method, body, headers, cookies })) : reject(error));
      request.on('error', failed).on('response', (res) => {
        // Browsers take cookies with the head of an answer, in the order in which heads arrive.
        this.jar.store(url, res.headers['set-cookie'] ?? []);
        const chunks = [];
        res.on('data', (chunk) => chunks.push(chunk)).on('error', reject);
        res.on('end', () => {
          const answer = {
            method,
            url: url.href,
            sentCookie: sent,
            status: res.statusCode,
            reason: res.statusMessage,
            rawHeaders: [...res.rawHeaders, ...res.rawTrailers],
            headers: res.headers,
            setCookies: res.headers['set-cookie'] ?? [],
            body: Buffer.concat(chunks).toString(),
            early,
          };
          this.answers.push(answer);
          resolve(answer);
        });
      });
      request.end(body);
    });
  }
}

/** `Sec-Fetch-Site`: the worst relation of the initiator to any URL on the way (Fetch Metadata §2.3). */
function relation(initiator, chain) {
  if (!initiator) return 'none';
  if (chain.some((url) => !sameSite(initiator, url))) return 'cross-site';
  return chain.some((url) => url.origin !== initiator.origin) ? 'same-site' : 'same-origin';
}

const decode = (text) => text.replace(/&(amp|lt|gt|quot|#39);/g, (entity) => (
  { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" }[entity]));

const attribute = (tag, name) => {
  const found = tag.match(new RegExp(`\\s${name}="([^"]*)"`, 'i'));
  return found ? decode(found[1]) : undefined;
};

/** The first form of a page, with its hidden fields. */
function firstForm(page, base) {
  const form = page.match(/<form\b[^>]*>[\s\S]*?<\/form>/i)?.[0];
  if (!form) throw new Error(`no form on ${base?.href}:\n${page.slice(0, 2000)}`);
  const hidden = {};
  for (const [tag] of form.matchAll(/<input\b[^>]*>/gi)) {
    if (attribute(tag, 'type') === 'hidden') hidden[attribute(tag, 'name')] = attribute(tag, 'value') ?? '';
  }
  return {
    action: new URL(attribute(form, 'action') ?? '', base),
    method: (attribute(form, 'method') ?? 'get').toLowerCase(),
    hidden,
  };
}
