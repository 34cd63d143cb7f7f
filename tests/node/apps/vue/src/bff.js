/** sealgate's client module, which comes with the program and not with the bundle. */
export const bff = () => import(/* @vite-ignore */ /* webpackIgnore: true */ new URL('/bff/client.js', location.origin).href);
