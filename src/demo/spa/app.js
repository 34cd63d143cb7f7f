// The demo's page. It talks to its own origin only, and no answer it gets holds a token.
'use strict';

const element = (id) => document.getElementById(id);
const text = (id, value) => { element(id).textContent = value; };

// --- calls ---------------------------------------------------------------------------------------------------

// A page of another origin cannot set this header without asking first: that is the whole anti-forgery token.
const CSRF = { 'X-CSRF': '1' };

/**
 * A refresh may have happened in another tab while this call was on its way: then, and only then, once more, when its cookies
 * have had time to arrive.
 */
async function call(path, options = {}) {
  const send = () => fetch(path, { ...options, headers: { Accept: 'application/json', ...CSRF, ...options.headers } });
  let answer = await send();
  if (answer.status === 401 && (await problem(answer)).code === 'session-refresh-conflict') {
    await new Promise((resolve) => setTimeout(resolve, 500));
    answer = await send();
  }
  return answer;
}

async function problem(answer) {
  try {
    return await answer.clone().json();
  } catch {
    return {};
  }
}

/** A call that needs somebody signed in; `null` if nobody is (any more). */
async function callSignedIn(path, options) {
  let answer;
  try {
    answer = await call(path, options);
  } catch {
    notice('sealgate does not answer. Is it still running?');
    return null;
  }
  if (answer.status === 401) {
    showSignedOut(signedIn ? 'The session has ended. Please sign in again.' : '');
    return null;
  }
  if (!answer.ok) {
    const { title = answer.statusText } = await problem(answer);
    notice(`${path} answered ${answer.status}: ${title}`);
    return null;
  }
  notice('');
  return answer;
}

function notice(message) {
  element('notice').hidden = message === '';
  text('notice', message);
}

// --- signed in, signed out -----------------------------------------------------------------------------------

let signedIn = false;

async function start() {
  const answer = await callSignedIn('/bff/user');
  if (answer) showSignedIn(await answer.json());
}

async function showSignedIn(claims) {
  signedIn = true;
  const claim = (type) => claims.find((one) => one.type === type)?.value;
  text('user-name', claim('name') ?? claim('sub') ?? 'somebody');
  element('claims').replaceChildren(...claims.map(({ type, value }) => {
    const row = document.createElement('tr');
    for (const cell of [type, typeof value === 'object' ? JSON.stringify(value) : String(value)]) {
      row.appendChild(document.createElement('td')).textContent = cell;
    }
    return row;
  }));
  element('account').hidden = element('signed-in').hidden = false;
  element('signed-out').hidden = true;
  showWhatScriptsSee();
  await readTimes();
}

function showSignedOut(message) {
  signedIn = false;
  stopEvents('Not connected.');
  times = null;
  element('account').hidden = element('signed-in').hidden = true;
  element('signed-out').hidden = false;
  notice(message);
}

element('logout').addEventListener('click', async () => {
  const answer = await callSignedIn('/bff/logout', { method: 'POST' });
  // The session is over by now. The identity provider's own session ends by a visit there.
  if (answer) location.assign((await answer.json()).logout_url);
});

// --- what scripts see ----------------------------------------------------------------------------------------

function showWhatScriptsSee() {
  const show = (id, seen) => {
    text(id, seen === '' ? 'nothing' : seen);
    element(id).className = seen === '' ? 'nothing' : 'something';
  };
  show('cookies', document.cookie);
  show('local-storage', Object.keys(localStorage).join(', '));
  show('session-storage', Object.keys(sessionStorage).join(', '));
}

// --- times ---------------------------------------------------------------------------------------------------

let times = null;
const longest = {};

async function readTimes() {
  const answer = await callSignedIn('/bff/session');
  if (!answer) return;
  const session = await answer.json();
  if (!session.active) {
    showSignedOut('The session has ended. Please sign in again.');
    return;
  }
  // The server's clock counts, not this computer's.
  times = { ...session, ahead: session.server_now - Date.now() / 1000 };
  showTimes();
}

function showTimes() {
  if (!times) return;
  const now = Date.now() / 1000 + times.ahead;
  showTime('access', times.access_token_expires_at, now);
  showTime('idle', times.idle_ends_at, now);
  showTime('session', times.session_ends_at, now);
}

function showTime(name, end, now) {
  const known = Number.isFinite(end);
  const left = known ? Math.max(0, Math.round(end - now)) : 0;
  longest[name] = Math.max(longest[name] ?? 1, left);
  element(`bar-${name}`).max = longest[name];
  element(`bar-${name}`).value = left;
  const renewed = name === 'access' && left === 0 && times.refresh_possible;
  text(`time-${name}`, known ? (renewed ? 'ended; the next call refreshes it' : span(left)) : 'unknown');
}

function span(seconds) {
  const two = (n) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

setInterval(showTimes, 1000);
setInterval(() => { if (signedIn && !document.hidden) readTimes(); }, 15000);
document.addEventListener('visibilitychange', () => { if (signedIn && !document.hidden) readTimes(); });

// --- calling the API -----------------------------------------------------------------------------------------

/** Calls the echo API and shows both ends; gives the API's view of the credentials. */
async function echo(path) {
  const answer = await callSignedIn(path);
  if (!answer) return null;
  const received = await answer.json();
  text('page-sent', `GET ${path}\nX-CSRF: 1\nCookie: (sealed; this page cannot read it)\nAuthorization: none`);
  text('api-echo', describe(received));
  text('api-answer', JSON.stringify(received, null, 2));
  showWhatScriptsSee();
  await readTimes();
  return received;
}

function describe({ method, path, headers, authorization }) {
  const lines = [`${method} ${path}`, `Cookie: ${headers.cookie ?? 'none'}`];
  if (authorization) {
    const { token_claims: claims, fingerprint, active } = authorization;
    lines.push(`Authorization: ${headers.authorization}`, '', `token no. ${fingerprint}${active === false ? ' (not valid!)' : ''}`);
    if (typeof claims === 'object') lines.push(`for ${claims.sub}, by ${claims.iss}`, `scope: ${claims.scope}`);
  } else {
    lines.push('Authorization: none');
  }
  return lines.join('\n');
}

/** One at a time: the button rests until its work is done. */
function onClick(id, work) {
  element(id).addEventListener('click', async () => {
    element(id).disabled = true;
    try {
      await work();
    } finally {
      element(id).disabled = false;
    }
  });
}

onClick('call-api', () => echo('/api/echo/hello'));
onClick('call-public', () => echo('/api/public/hello'));

// --- refresh -------------------------------------------------------------------------------------------------

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

onClick('refresh', async () => {
  const first = await echo('/api/echo/refresh');
  const before = first?.authorization;
  if (!before) {
    text('refresh-state', 'No token arrived at the API.');
    return;
  }
  for (let calls = 1; signedIn; calls += 1) {
    text('refresh-state', `Token ${before.fingerprint}, the same in ${calls} ${calls === 1 ? 'call' : 'calls'} …`);
    await pause(2000);
    const now = (await echo('/api/echo/refresh'))?.authorization;
    if (!now) break;
    if (now.fingerprint !== before.fingerprint) {
      text('refresh-state', `Refreshed: token ${before.fingerprint} became ${now.fingerprint} after ${calls + 1} calls. This page did nothing for it.`);
      return;
    }
  }
  text('refresh-state', 'Stopped.');
});

// --- events --------------------------------------------------------------------------------------------------

let events = null;

element('events').addEventListener('click', () => {
  if (events) {
    stopEvents('Stopped.');
    return;
  }
  // EventSource cannot set headers; browsers say by themselves that the request is same-origin (Sec-Fetch-Site).
  events = new EventSource('/api/echo/events');
  text('events', 'Stop');
  text('events-state', 'Connecting …');
  events.addEventListener('tick', (event) => text('events-state', `Event no. ${JSON.parse(event.data).n}`));
  events.addEventListener('error', () => {
    if (events?.readyState === EventSource.CLOSED) {
      stopEvents('The stream was refused or has ended.');
      readTimes();
    } else {
      text('events-state', 'Connecting again …');
    }
  });
});

function stopEvents(state) {
  events?.close();
  events = null;
  text('events', 'Start');
  text('events-state', state);
}

start();
