// The attack that sealing does not stop: the cookies are copied, and used without this browser.
'use strict';

{
  const button = document.getElementById('attack-copy');
  const verdict = document.getElementById('verdict-copy');

  /** What sealgate's log says. */
  const witness = async () => (await fetch('/api/public/witness', { headers: { 'X-CSRF': '1' } })).json();

  const say = (code, told) => {
    const made = document.createElement('code');
    made.textContent = code;
    verdict.replaceChildren(made, ` ${told}`);
  };

  /** How the call of somebody else was answered, who has the cookies and not this browser. */
  const tried = async () => {
    const { count } = await witness();
    const { elsewhere } = document.getElementById('attacks').dataset;
    window.open(`${elsewhere}/elsewhere?attack=copy`, '_blank', 'popup,width=560,height=520,noopener');
    verdict.textContent = 'Waiting for the other page …';
    for (let tries = 0; tries < 240; tries += 1) {
      await new Promise((resolve) => { setTimeout(resolve, 250); });
      const answer = (await witness()).answers.find(({ n, path }) => n > count && path === '/api/echo/copied');
      if (answer?.status) return answer;
    }
    return null;
  };

  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      const answer = await tried();
      if (!answer) verdict.textContent = 'No request came from the other page. Was its window blocked?';
      else if (answer.status < 400) {
        say(answer.status, 'The copy works: whoever has it is you, until the session ends. With session.device_binding a browser that '
          + 'can do so binds the session to a key of its device, and sealgate refuses a copy minutes after it was taken. This '
          + 'session is not bound: browsers bind over TLS alone, and this demo is plain HTTP on localhost.');
      } else say(`${answer.status} ${answer.outcome}`, 'Refused: the copy is of no use.');
    } catch {
      verdict.textContent = 'sealgate does not answer. Is it still running?';
    } finally {
      button.disabled = false;
    }
  });
}
