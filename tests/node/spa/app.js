// A frontend as sealgate's users write it: no tokens, and the client module for everything that has to do with the session.
import { api, login, logout, onSessionEnd, user } from '/bff/client.js';

const $ = (id) => document.getElementById(id);

const claims = await user();
$('who').textContent = claims?.find(({ type }) => type === 'name').value ?? 'nobody';

$('login').addEventListener('click', () => login('/?welcome'));

$('call').addEventListener('click', async () => {
  $('answer').textContent = '…';
  const answer = await api('/api/echo/from-the-page');
  $('answer').textContent = `${answer.status} ${await answer.text()}`;
});

// Users must hear of the end before it comes, and be able to stay (WCAG 2.2.1).
const stop = claims ? onSessionEnd(({ reason }) => {
  $('end').textContent = { ending: 'You will be signed out soon.', ended: 'You are signed out.', replaced: 'Somebody else has signed in.' }[reason];
  $('stay').hidden = reason !== 'ending';
}) : () => {};

$('stay').addEventListener('click', async () => {
  await api('/api/echo/still-here');
  $('end').textContent = '';
  $('stay').hidden = true;
});

$('logout').addEventListener('click', () => {
  stop();
  logout();
});

document.body.dataset.ready = 'yes';
