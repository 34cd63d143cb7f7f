/** sealgate's client module, which comes with the program and not with the bundle. The types are a copy of /bff/client.d.ts. */
export const bff = (): Promise<typeof import('../client')> =>
  import(/* @vite-ignore */ /* webpackIgnore: true */ new URL('/bff/client.js', location.origin).href);
