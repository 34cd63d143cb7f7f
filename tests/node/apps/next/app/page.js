import Link from 'next/link';

import { Counter } from './counter.js';
import { who } from './who.js';

export default async function Page() {
  return (
    <main>
      <h1>The first text</h1>
      <p id="who">{await who()}</p>
      <Counter />
      <Link href="/orders?page=2" prefetch={false}>Orders</Link>
    </main>
  );
}
