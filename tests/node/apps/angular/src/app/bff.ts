// A copy of /bff/client.d.ts.
type Client = typeof import('../client');

/** sealgate's client module, which comes with the program and not with the bundle. */
export const bff: Promise<Client> = import(
  /* @vite-ignore */ new URL('/bff/client.js', location.origin).href
);
