import { lazy, Suspense, useEffect, useState } from 'react';

import './app.css';
import { bff } from './bff.js';

const More = lazy(() => import('./More.jsx'));

export function App() {
  const [clicks, setClicks] = useState(0);
  const [who, setWho] = useState('…');
  const [answer, setAnswer] = useState('');
  const [event, setEvent] = useState('');
  const [hasMore, setHasMore] = useState(false);
  useEffect(() => {
    bff().then(({ user }) => user())
      .then((claims) => setWho(claims?.find(({ type }) => type === 'name').value ?? 'nobody'));
  }, []);
  const call = async () => setAnswer((await (await bff()).api('/api/echo')).status);
  const listen = () => { new EventSource('/api/echo/events').onmessage = ({ data }) => setEvent(data); };
  return (
    <main>
      <h1>The first text</h1>
      <p id="who" style={{ color: 'rgb(7, 8, 9)' }}>{who}</p>
      <button id="clicks" onClick={() => setClicks(clicks + 1)}>{clicks}</button>
      <button id="login" onClick={async () => (await bff()).login()}>Sign in</button>
      <button id="logout" onClick={async () => (await bff()).logout()}>Sign out</button>
      <button id="call" onClick={call}>Call</button> <output id="answer">{answer}</output>
      <button id="listen" onClick={listen}>Listen</button> <output id="event">{event}</output>
      <button id="more" onClick={() => setHasMore(true)}>More</button>
      <Suspense>{hasMore && <More />}</Suspense>
    </main>
  );
}
