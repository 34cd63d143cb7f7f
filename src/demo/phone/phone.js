// The phone's home screen, loaded in two ways: as three calls, and as one that sealgate puts together.
'use strict';

const element = (id) => document.getElementById(id);
const text = (id, value) => { element(id).textContent = value; };

/** How many orders the screen shows. */
const LIMIT = 3;

function make(tag, ...inside) {
  const made = document.createElement(tag);
  made.append(...inside);
  return made;
}

function notice(message) {
  element('notice').hidden = message === '';
  text('notice', message);
}

// --- calls ---------------------------------------------------------------------------------------------------

/** A call and what it cost: its status, its body as text and as JSON, and the parts that are not all there. */
async function call(path, options = {}) {
  const headers = { Accept: 'application/json', 'X-CSRF': '1' };
  const answer = await fetch(path, { ...options, headers });
  const body = await answer.text();
  let json = null;
  try {
    json = JSON.parse(body);
  } catch {
    // An empty body, or a page about a problem.
  }
  if (answer.status === 401) showSignedOut();
  return { ok: answer.ok, status: answer.status, body, json, partial: answer.headers.get('Sealgate-Partial') };
}

const bytes = (answers) => answers.reduce((sum, { body }) => sum + new TextEncoder().encode(body).length, 0);

// --- the screen in two ways ----------------------------------------------------------------------------------

/** Each call needs what the one before has said. */
async function asThree() {
  const me = await call(`/api/shop/users/${encodeURIComponent(who)}`);
  if (!me.ok) return { answers: [me] };
  const orders = await call(`/api/shop/orders?customer=${encodeURIComponent(me.json.id)}&limit=${LIMIT}`);
  if (!orders.ok) return { answers: [me, orders] };
  const all = orders.json.data.map(({ id, line, amount }) => ({ id, sku: line.sku, total: amount.total }));
  const prices = await call(`/api/shop/prices?sku=${encodeURIComponent(all.map(({ sku }) => sku).join(','))}`);
  return {
    answers: [me, orders, prices],
    screen: { name: me.json.profile.displayName, orders: all, prices: prices.ok ? prices.json.data : [] },
  };
}

async function asOne() {
  const home = await call(`/api/home?limit=${LIMIT}`);
  if (!home.ok) return { answers: [home] };
  const { me, orders, prices } = home.json;
  return { answers: [home], screen: { name: me.name, orders: orders ?? [], prices: prices ?? [] } };
}

const WAYS = { three: asThree, one: asOne };
let way = 'one';
let last = Promise.resolve();

/** One load at a time: what is asked for meanwhile comes after it. */
function load() {
  last = last.then(loadOnce);
  return last;
}

async function loadOnce() {
  for (const one of Object.keys(WAYS)) element(`as-${one}`).setAttribute('aria-pressed', String(one === way));
  try {
    const begun = performance.now();
    const { answers, screen } = await WAYS[way]();
    text(`${way}-trips`, answers.length);
    text(`${way}-bytes`, bytes(answers));
    text(`${way}-ms`, Math.round(performance.now() - begun));
    notice(screen || !signedIn ? '' : `The screen could not be loaded: ${answers.at(-1).status}`);
    if (screen) show(screen);
    const last = answers.at(-1);
    const partial = last.partial ? `Sealgate-Partial: ${last.partial}\n` : '';
    text('said', `HTTP ${last.status}\n${partial}\n${JSON.stringify(last.json, null, 2)}`);
  } catch {
    notice('sealgate does not answer. Is it still running?');
  }
}

function show({ name, orders, prices }) {
  text('name', name);
  const money = (value) => (typeof value === 'number' ? `£${value.toFixed(2)}` : 'no price');
  element('orders').replaceChildren(...orders.map(({ id, sku, total }, at) => make('li',
    make('b', sku.replaceAll('-', ' ')), make('b', money(total)),
    make('span', `order ${id}`), make('span', `today ${money(prices[at]?.net)}`))));
}

for (const one of Object.keys(WAYS)) {
  element(`as-${one}`).addEventListener('click', () => { way = one; load(); });
}

element('outage').addEventListener('change', async ({ target }) => {
  await call(`/api/shop/outage?prices=${target.checked}`, { method: 'POST' });
  await load();
});

// --- signed in, signed out -----------------------------------------------------------------------------------

let who = '';
let signedIn = false;

function showSignedOut() {
  signedIn = false;
  element('signed-out').hidden = false;
  for (const id of ['signed-in', 'account']) element(id).hidden = true;
}

element('logout').addEventListener('click', async () => {
  const { ok, json } = await call('/bff/logout', { method: 'POST' });
  if (ok) location.assign(json.logout_url);
});

async function start() {
  // A small answer from a large one: the route has one part, and that is inline.
  const me = await call('/api/me');
  if (!me.ok) {
    if (me.status !== 401) notice(`The screen could not be loaded: ${me.status}`);
    return;
  }
  who = me.json.sub;
  element('outage').checked = (await call('/api/shop/outage')).json?.prices_are_down === true;
  signedIn = true;
  for (const id of ['signed-in', 'account']) element(id).hidden = false;
  await load();
}

start();
