// The app in a browser: it calls by the rule that src/proxy/README.md gives to frontends, and writes down what it saw.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

import { Browser } from './browser.mjs';
import { passSignIn } from './person.mjs';

const CSRF = { 'x-csrf': '1' };

/** One session, in one browser. */
export class Page {
  /** Each request: `{ login, method, path, status, code, whose, until, began, ended, replica, again, refused }`. */
  records = [];
  signIns = 0;

  constructor({ login, origin, op, certificate, repeatAfter = 0 }) {
    this.login = login;
    this.op = op;
    /** Milliseconds; the answer says `Retry-After: 0`. */
    this.repeatAfter = repeatAfter;
    this.origin = new URL(origin);
    this.browser = new Browser({ ca: certificate.pem });
  }

  async signIn() {
    await this.browser.open(`${this.origin.origin}/bff/login?returnUrl=/bff/session`);
    await passSignIn(this.browser, this.op, { login: this.login });
    this.browser.answers.length = 0;
    this.signIns += 1;
    const { active } = await this.session();
    assert.equal(active, true, `${this.login} is not signed in: ${this.browser.url}\n${this.browser.page}`);
  }

  /** What `/bff/session` says, which refreshes nothing. */
  async session() {
    const { body } = await this.#fetch('/bff/session');
    return JSON.parse(body);
  }

  /** One call; repeated once if the answer asks for it. Gives what the frontend has to live with. */
  async call(path, { method = 'GET', body } = {}) {
    const first = await this.#record(path, { method, body }, false);
    if (first.code !== 'session-refresh-conflict') return first;
    await sleep(this.repeatAfter);
    return this.#record(path, { method, body }, true);
  }

  close() {
    this.browser.close();
  }

  async #record(path, { method, body }, again) {
    const began = Date.now();
    const refused = this.browser.jar.refused.length;
    const answer = await this.#fetch(path, { method, body }).catch((error) => ({ status: 0, body: error.message, headers: {} }));
    const json = /json/.test(answer.headers['content-type']) ? JSON.parse(answer.body) : {};
    const record = {
      login: this.login,
      method,
      path,
      status: answer.status,
      code: json.code ?? (answer.status === 200 ? undefined : answer.body.slice(0, 200)),
      whose: Array.isArray(json) ? json.find(({ type }) => type === 'sub')?.value : json.whose,
      /** When the access token ended that the API was called with. */
      until: json.until,
      began,
      ended: Date.now(),
      replica: answer.headers['x-replica'],
      again,
      refused: this.browser.jar.refused.length > refused,
    };
    this.records.push(record);
    return record;
  }

  async #fetch(path, options) {
    const answer = await this.browser.fetch(path, { headers: CSRF, page: this.origin, ...options });
    this.browser.answers.length = 0;
    return answer;
  }
}

/** A record as a line of a report. */
export const inWords = ({ login, method, path, status, code, whose, began, ended, replica, again }) => (
  `${new Date(began).toISOString()} +${ended - began} ms ${login} ${method} ${path}${again ? ' again' : ''} at ${replica} → ${status} ${code ?? ''} for ${whose}`);
