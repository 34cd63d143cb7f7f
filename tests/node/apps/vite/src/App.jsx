import { useEffect, useState } from 'react';

import './app.css';

export function App() {
  const [clicks, setClicks] = useState(0);
  const [user, setUser] = useState('…');
  useEffect(() => {
    fetch('/bff/user', { headers: { 'X-CSRF': '1' } })
      .then((answer) => (answer.ok ? answer.json() : []))
      .then((claims) => setUser(claims.find(({ type }) => type === 'name')?.value ?? 'nobody'));
  }, []);
  return (
    <main>
      <h1>The first text</h1>
      <p id="who">{user}</p>
      <button id="clicks" onClick={() => setClicks(clicks + 1)}>{clicks}</button>
    </main>
  );
}
