import { redirect } from 'next/navigation';

import { who } from '../who.js';

async function order(form) {
  'use server';
  redirect(`/orders?ordered=${encodeURIComponent(`${form.get('what')} for ${await who()}`)}`);
}

export default async function Orders({ searchParams }) {
  const { page, ordered } = await searchParams;
  return (
    <main>
      <h1>Orders</h1>
      <p id="who">{await who()}</p>
      <p id="page">{page ?? ''}</p>
      <p id="ordered">{ordered ?? ''}</p>
      <form action={order}>
        <input name="what" defaultValue="tea" />
        <button id="order" type="submit">Order</button>
      </form>
    </main>
  );
}
