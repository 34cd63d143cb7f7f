// A frontend as sealgate's users write it: no tokens, one header, two navigations.
const CSRF = { 'X-CSRF': '1' };
const $ = (id) => document.getElementById(id);

const user = await fetch('/bff/user', { headers: CSRF });
const claims = user.ok ? Object.fromEntries((await user.json()).map(({ type, value }) => [type, value])) : undefined;
$('who').textContent = claims ? claims.name : 'nobody';

$('call').addEventListener('click', async () => {
  $('answer').textContent = '…';
  const answer = await fetch('/api/echo/from-the-page', { headers: CSRF });
  $('answer').textContent = `${answer.status} ${await answer.text()}`;
});

$('logout').addEventListener('click', async () => {
  const answer = await fetch('/bff/logout', { method: 'POST', headers: CSRF });
  location.assign((await answer.json()).logout_url);
});

document.body.dataset.ready = 'yes';
