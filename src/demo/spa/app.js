// The demo's page. It talks only to its own origin, and none of the answers holds a token.
//
// Whatever has to do with the session is done by sealgate's client module: an app needs no more than these six functions.
import { api, login, logout, onSessionEnd, session, user } from '/bff/client.js';

const element = (id) => document.getElementById(id);
const text = (id, value) => { element(id).textContent = value; };
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** An element with a text, or with others inside. */
function make(tag, ...inside) {
  const made = document.createElement(tag);
  made.append(...inside);
  return made;
}

// --- calls ---------------------------------------------------------------------------------------------------

// What a token of the demo's provider looks like (RFC 7519).
const TOKEN = /eyJ[\w-]+\.[\w-]+\.[\w-]+/g;
let answers = 0;
let tokensSeen = 0;

/** Searches what this page was told for tokens. */
function search(said) {
  answers += 1;
  tokensSeen += (said.match(TOKEN) ?? []).length;
}

async function problem(answer) {
  try {
    return await answer.clone().json();
  } catch {
    return {};
  }
}

/** Calls an API. `api` adds the header against forgery, and leaves for the login if nobody is signed in any more. */
async function call(path) {
  let answer;
  try {
    answer = await api(path, { headers: { Accept: 'application/json' } });
  } catch {
    notice('sealgate does not answer. Is it still running?');
    return null;
  }
  search(await answer.clone().text());
  if (!answer.ok) {
    const { title = answer.statusText } = await problem(answer);
    notice(`${path} answered ${answer.status}: ${title}`);
    return null;
  }
  notice('');
  return answer.json();
}

function notice(message) {
  element('notice').hidden = message === '';
  text('notice', message);
}

// --- signed in, signed out -----------------------------------------------------------------------------------

let signedIn = false;

function show(view) {
  for (const id of ['signed-out', 'both-over', 'signed-in']) element(id).hidden = id !== view;
  signedIn = view === 'signed-in';
  element('account').hidden = !signedIn;
}

async function start() {
  const claims = await user();
  if (!claims) {
    showSignedOut('');
    return;
  }
  search(JSON.stringify(claims));
  const claim = (type) => claims.find((one) => one.type === type)?.value;
  text('user-name', claim('name') ?? claim('sub') ?? 'somebody');
  element('claims').replaceChildren(...claims.map(({ type, value }) => make('tr', make('td', type), make('td', String(value)))));
  show('signed-in');
  // Forget the address of a page that says otherwise.
  if (location.pathname === '/signed-out') history.replaceState(null, '', '/');
  stopWaiting = onSessionEnd(sessionEnds, { warn: 60 });
  await echo('/api/echo/hello');
}

let stopWaiting = () => {};

/** Who reads slowly must be able to stay (WCAG 2.2.1): a call is a use of the session, and moves its end. */
function sessionEnds({ reason }) {
  element('ending').hidden = reason !== 'ending';
  if (reason === 'ended') showSignedOut('The session has ended. Please sign in again.');
  if (reason === 'replaced') location.reload();
}

element('stay').addEventListener('click', async () => {
  element('ending').hidden = true;
  await echo('/api/echo/still-here');
});

function showSignedOut(message) {
  stopEvents('Not connected.');
  stopWaiting();
  times = null;
  const isAfterLogout = !signedIn && location.pathname === '/signed-out';
  show(isAfterLogout ? 'both-over' : 'signed-out');
  if (isAfterLogout) showWhatIsLeft();
  notice(message);
}

async function showWhatIsLeft() {
  const { active } = await session();
  const { cookies } = await witness();
  const left = cookies.map(({ name }) => name).join(', ');
  element('left').replaceChildren(
    make('li', make('code', '/bff/session'), ' answers ', make('code', `active: ${active}`), '.'),
    left === '' ? make('li', 'No cookie is left.')
      : make('li', 'What is left of the cookies is ', make('code', left), ', the mark of a session that has ended.'),
  );
}

element('login').addEventListener('click', () => login('/'));
element('login-again').addEventListener('click', () => login('/'));

element('logout').addEventListener('click', () => {
  stopWaiting();
  // Ends the session here, and visits the identity provider to end the one there.
  logout('/signed-out');
});

// --- calling the API -----------------------------------------------------------------------------------------

let token = null;

/** Calls the echo API and shows both ends; gives the API's view of the credentials. */
async function echo(path) {
  const received = await call(path);
  if (!received) return;
  text('page-sent', `GET ${path}\nX-CSRF: 1\nCookie: (sealed; this page cannot read it)\nAuthorization: none`);
  text('api-echo', describe(received));
  text('api-answer', JSON.stringify(received, null, 2));
  showWhoGotToken(received.authorization);
  await Promise.all([readTimes(), showCookies()]);
  text('searched', `Tokens in the ${answers} answers that this page has got so far: ${tokensSeen}.`);
}

function showWhoGotToken(authorization) {
  if (authorization) {
    element('headline').replaceChildren('The API got a token.', make('br'), 'This page did not.');
    text('lead', 'This page sent a cookie that it cannot read. sealgate opened it and added the access token on the way. '
      + 'Here are both ends of the call.');
    noteToken(authorization.fingerprint);
  } else {
    element('headline').replaceChildren('This call went', make('br'), 'without a token.');
    text('lead', 'Its route has token = "none": sealgate passed the call on, kept the cookie back and added nothing. '
      + 'Here are both ends of the call.');
  }
}

function describe({ method, path, headers, authorization }) {
  const lines = [`${method} ${path}`, `Cookie: ${headers.cookie ?? 'none'}`];
  if (authorization) {
    const { token_claims: claims, fingerprint, active } = authorization;
    lines.push(`Authorization: ${headers.authorization}`, '', `token ${fingerprint}${active === false ? ' (not valid!)' : ''}`);
    if (typeof claims === 'object') lines.push(`for ${claims.sub}, by ${claims.iss}`, `scope ${claims.scope}`);
  } else {
    lines.push('Authorization: none');
  }
  return lines.join('\n');
}

function noteToken(fingerprint) {
  if (token !== null && token !== fingerprint) {
    const line = make('li', make('b', 'Refreshed'), ` at ${new Date().toLocaleTimeString()}: token `, make('code', token),
      ' became ', make('code', fingerprint), '. This page did nothing for it.');
    element('refreshes').prepend(line);
    while (element('refreshes').children.length > 3) element('refreshes').lastChild.remove();
  }
  token = fingerprint;
  text('token', fingerprint);
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

// --- times ---------------------------------------------------------------------------------------------------

let times = null;
let calledAt = 0;

async function readTimes() {
  const now = await session().catch(() => null);
  if (!now) {
    notice('sealgate does not answer. Is it still running?');
    return;
  }
  search(JSON.stringify(now));
  if (!now.active) {
    showSignedOut('The session has ended. Please sign in again.');
    return;
  }
  // Count by the server's clock, not by this computer's.
  times = { ...now, ahead: now.server_now - Date.now() / 1000 };
  showTimes();
}

function showTimes() {
  if (!times || document.hidden) return;
  const left = (end) => (Number.isFinite(end) ? Math.max(0, Math.round(end - times.ahead - Date.now() / 1000)) : 0);
  const access = left(times.access_token_expires_at);
  element('bar-access').value = access;
  text('time-access', access > 0 ? `ends in ${access} s` : 'has ended');
  text('time-idle', span(left(times.idle_ends_at)));
  text('time-session', span(left(times.session_ends_at)));
  // Do not ask each second while the provider is down.
  if (access === 0 && times.refresh_possible && Date.now() - calledAt > 5000) {
    calledAt = Date.now();
    echo('/api/echo/again');
  }
}

function span(seconds) {
  const two = (n) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

setInterval(showTimes, 1000);
document.addEventListener('visibilitychange', () => { if (signedIn && !document.hidden) readTimes(); });

// --- what sealgate's log says ----------------------------------------------------------------------------------

let heard = 0;

/** `{ count, answers: [{ n, method, path, status, outcome }], cookies: [{ name, bytes, attributes }], forged }` */
async function witness() {
  const report = await call('/api/public/witness');
  heard = report.count;
  return report;
}

const PURPOSES = [
  [/-seen$/, 'when you were last active'],
  [/-hint$/, 'the ID token, sent to logout only'],
  [/-out$/, 'the mark of a session that has ended'],
  [/-login\./, 'a login that was begun'],
  [/\.\d+$/, 'more of the session'],
  [/^/, 'the session, tokens included'],
];

async function showCookies() {
  const { cookies } = await witness();
  cookies.sort((a, b) => a.name.localeCompare(b.name));
  element('cookie-list').replaceChildren(...cookies.map(({ name, bytes, attributes }) => {
    const purpose = make('span', PURPOSES.find(([pattern]) => pattern.test(name))[1]);
    const flags = attributes.split('; ').filter((flag) => !flag.startsWith('Expires')).flatMap((flag) => [make('code', flag), ' ']);
    return make('tr', make('td', make('code', name), purpose), make('td', `${bytes} B`), make('td', ...flags));
  }));
  text('cookies', document.cookie === '' ? 'none' : document.cookie);
}

// --- attacks -------------------------------------------------------------------------------------------------

function verdict(name, code, told) {
  element(`verdict-${name}`).replaceChildren(make('code', code), ` ${told}`);
}

/** `forged` is what the API itself has counted. */
const refused = (status, why, { forged }) => (status < 400 || forged > 0 ? 'It was let through!'
  : `Refused: ${why}. Forged calls that reached the API: ${forged}.`);

onClick('attack-script', async () => {
  const jar = await globalThis.cookieStore?.getAll() ?? [];
  const seen = [document.cookie, ...jar.map(({ name }) => name), ...Object.keys(localStorage), ...Object.keys(sessionStorage)]
    .filter((one) => one !== '');
  verdict('script', seen.length === 0 ? 'nothing' : seen.join(' '),
    'is in document.cookie, in cookieStore and in both storages: the cookies are HttpOnly.');
});

onClick('attack-header', async () => {
  const answer = await fetch('/api/echo/forged', { method: 'POST', headers: { Accept: 'application/json' }, body: 'everything' });
  const { code = 'let through!', detail = '' } = await problem(answer);
  verdict('header', `${answer.status} ${code}`, refused(answer.status, detail, await witness()));
});

/** Another origin's page makes a request that this page cannot follow; the log tells how it was answered. */
function attackFromElsewhere(name, path, why) {
  onClick(`attack-${name}`, async () => {
    const before = heard;
    window.open(`${element('attacks').dataset.elsewhere}/elsewhere?attack=${name}`, '_blank', 'popup,width=560,height=520,noopener');
    text(`verdict-${name}`, 'Waiting for the other page …');
    for (let tries = 0; tries < 240; tries += 1) {
      await pause(250);
      const report = await witness();
      const answer = report.answers.find((one) => one.n > before && one.path === path);
      if (answer) {
        verdict(name, `${answer.status} ${answer.outcome}`, refused(answer.status, why, report));
        await readTimes();
        return;
      }
    }
    text(`verdict-${name}`, 'No request came from the other page. Was its window blocked?');
  });
}

attackFromElsewhere('form', '/api/echo/forged', 'the form’s Origin is another one');
attackFromElsewhere('socket', '/api/echo/ws', 'the handshake’s Origin is another one');
attackFromElsewhere('logout', '/bff/logout', 'only the application’s own links sign out, and you are still signed in');

// --- events --------------------------------------------------------------------------------------------------

let events = null;

element('events').addEventListener('click', () => {
  if (events) {
    stopEvents('Stopped.');
    return;
  }
  // EventSource cannot set headers. Browsers themselves say that the request is same-origin (Sec-Fetch-Site).
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
