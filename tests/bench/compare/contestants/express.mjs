// express-openid-connect with http-proxy-middleware: what many write themselves in Node.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const APP = fileURLToPath(new URL('express_app.mjs', import.meta.url));
const versionOf = (name) => JSON.parse(
  readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8'),
).version;

export const express = {
  id: 'express',
  name: 'express-openid-connect',
  tokens: 'plain',
  signIn: '/api/who',
  version: () => `express-openid-connect ${versionOf('express-openid-connect')}, http-proxy-middleware ${
    versionOf('http-proxy-middleware')}, Node ${process.versions.node}`,
  start({ processes, core, dir, port, origin, upstream, op }) {
    versionOf('express-openid-connect');
    return processes.start(process.execPath, [APP], {
      core,
      cwd: dir,
      env: {
        NODE_ENV: 'production',
        PORT: String(port),
        ORIGIN: origin,
        UPSTREAM: upstream.url,
        ISSUER: op.issuer,
        CLIENT_ID: op.clientId,
        CLIENT_SECRET: op.clientSecret,
      },
    });
  },
};
