// The program behind express.mjs: everything that express-openid-connect does by default, its rolling session included.
import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';

import express from 'express';
import oidc from 'express-openid-connect';
import { createProxyMiddleware } from 'http-proxy-middleware';

const { PORT, ORIGIN, UPSTREAM, ISSUER, CLIENT_ID, CLIENT_SECRET } = process.env;

const app = express();
app.disable('x-powered-by');
app.use(oidc.auth({
  baseURL: ORIGIN,
  issuerBaseURL: ISSUER,
  clientID: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
  clientAuthMethod: 'client_secret_basic',
  secret: randomBytes(32).toString('hex'),
  authRequired: true,
  enableTelemetry: false,
  routes: { callback: '/bff/callback' },
  authorizationParams: { response_type: 'code', response_mode: 'query', scope: 'openid profile email orders.read' },
}));
app.use((req, _res, next) => {
  req.headers.authorization = `Bearer ${req.oidc.accessToken.access_token}`;
  next();
});
app.use(createProxyMiddleware({ target: UPSTREAM, agent: new Agent({ keepAlive: true }) }));
app.listen(Number(PORT), '127.0.0.1');
