// sealgate's client module, from <base path>/client.js. Types: client.d.ts beside it.

const base = new URL('.', import.meta.url).pathname;
const CSRF = { '{csrf_header}': '1' };
/** The session that this page belongs to, once an answer has named it. */
let page;
const listeners = new Set();

class Problem extends Error {
  constructor(body, status) {
    super(body.title ?? `status ${status}`);
    Object.assign(this, body, { status, code: body.code });
    this.name = 'Problem';
  }
}

/** Refusals that the same request may not get again: new cookies are on their way, or the browser proves its device first. */
const PASSING = ['session-refresh-conflict', 'device-proof-required'];

/** Sends a request, and once more after a refusal that may have passed: `[answer, refusal]`. */
async function send(request) {
  const again = request.clone();
  const answer = await fetch(request);
  const problem = await refusal(answer);
  if (!PASSING.includes(problem?.code)) return [answer, problem];
  const second = await fetch(again);
  return [second, await refusal(second)];
}

const ask = async (path) => {
  const [answer] = await send(new Request(base + path, { headers: CSRF, credentials: 'same-origin', cache: 'no-store' }));
  return answer;
};

async function problemOf(answer) {
  const isProblem = answer.headers.get('content-type')?.startsWith('application/problem+json');
  return new Problem(isProblem ? await answer.clone().json() : {}, answer.status);
}

export async function user() {
  const answer = await ask('user');
  if (answer.ok) return answer.json();
  if (answer.status === 401) return null;
  throw await problemOf(answer);
}

export async function session() {
  const answer = await ask('session');
  if (answer.ok) return answer.json();
  throw await problemOf(answer);
}

const here = () => location.pathname + location.search + location.hash;

/** Leaves the page, so it never ends for whoever waits. */
function leaveFor(address) {
  location.assign(address);
  return new Promise(() => {});
}

export function login(returnUrl = here()) {
  return leaveFor(`${base}login?returnUrl=${encodeURIComponent(returnUrl)}`);
}

export async function logout(returnUrl) {
  const answer = await fetch(`${base}logout`, { method: 'POST', headers: CSRF, credentials: 'same-origin' });
  if (!answer.ok) throw await problemOf(answer);
  const address = new URL((await answer.json()).logout_url, location.href);
  if (returnUrl) address.searchParams.set('returnUrl', returnUrl);
  return leaveFor(address.href);
}

export async function api(path, init = {}) {
  const request = new Request(new URL(path, location.href), { credentials: 'same-origin', ...init });
  for (const [name, value] of Object.entries(CSRF)) request.headers.set(name, value);
  if (page) request.headers.set('X-Sealgate-Session', page);
  const [answer, problem] = await send(request);
  if (problem?.code === 'session-changed') {
    tell({ reason: 'replaced', endsAt: null });
    throw problem;
  }
  // A step-up asks for a login of its own kind, which the address names.
  const address = answer.status === 401 && problem?.login_url ? new URL(problem.login_url, location.href) : undefined;
  // An API can write a body like ours: its address leads nowhere.
  if (address?.origin === location.origin && address.pathname === `${base}login`) {
    address.searchParams.set('returnUrl', here());
    return leaveFor(address.href);
  }
  page ??= answer.headers.get('X-Sealgate-Session') ?? undefined;
  return answer;
}

/** The problem of sealgate's own in an answer; those of APIs are for the app. */
async function refusal(answer) {
  if (answer.status !== 401 && answer.status !== 409) return undefined;
  const problem = await problemOf(answer);
  return problem.type?.startsWith('urn:sealgate:problem:') ? problem : undefined;
}

function tell(end) {
  for (const { callback } of [...listeners]) callback(end);
}

export function connect() {
  const target = new EventTarget();
  let source;
  let isClosed = false;
  const say = (type, detail) => target.dispatchEvent(new CustomEvent(type, { detail }));
  const open = () => {
    if (isClosed) return;
    source = new EventSource(`${base}events`);
    source.onopen = () => say('open');
    for (const type of ['refreshed', 'ending', 'ended', 'replaced']) {
      source.addEventListener(type, ({ data }) => {
        const { at, ends_at: endsAt } = JSON.parse(data);
        if (type === 'ended') check(endsAt);
        else say(type, { at, endsAt });
      });
    }
    // The browser tries again by itself, unless it was refused: then somebody must look why.
    source.onerror = () => source.readyState === EventSource.CLOSED && check(null);
  };
  // Another replica may have seen the user meanwhile.
  const check = async (endsAt) => {
    source.close();
    const state = await session().catch(() => undefined);
    if (isClosed) return;
    if (state?.active === false) say('ended', { at: state.server_now ?? Math.floor(Date.now() / 1000), endsAt });
    else setTimeout(open, 5000);
  };
  target.close = () => {
    isClosed = true;
    source.close();
  };
  open();
  return target;
}

export function onSessionEnd(callback, { warn = 60 } = {}) {
  const listener = { callback };
  listeners.add(listener);
  let timer;
  let told;
  const schedule = async () => {
    clearTimeout(timer);
    const state = await session().catch(() => undefined);
    if (state?.active === false || !listeners.has(listener)) return;
    let wait = 30;
    if (state) {
      const endsAt = Math.min(state.session_ends_at, state.idle_ends_at);
      const left = endsAt - state.server_now;
      // A use of the session may move the end: ask again before the warning, and once more when the end has come.
      wait = Math.max(1, left > warn ? left - warn : left);
      if (left <= warn && told !== endsAt) {
        told = endsAt;
        callback({ reason: 'ending', endsAt });
      }
    }
    clearTimeout(timer);
    // A timer holds at most 24 days.
    timer = setTimeout(schedule, Math.min(wait * 1000, 2 ** 31 - 1));
  };
  const events = connect();
  events.addEventListener('refreshed', schedule);
  events.addEventListener('ended', ({ detail }) => end({ reason: 'ended', endsAt: detail.endsAt }));
  events.addEventListener('replaced', ({ detail }) => end({ reason: 'replaced', endsAt: detail.endsAt }));
  const stop = () => {
    listeners.delete(listener);
    clearTimeout(timer);
    events.close();
  };
  const end = (what) => {
    stop();
    callback(what);
  };
  schedule();
  return stop;
}

// A page out of the back-forward cache shows what was true when it was left, perhaps to somebody else.
addEventListener('pageshow', ({ persisted }) => {
  if (persisted) location.reload();
});
