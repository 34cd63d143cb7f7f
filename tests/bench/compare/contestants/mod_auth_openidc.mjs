// Apache with mod_auth_openidc, its sessions in encrypted cookies at the browser (`client-cookie`).
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { versionOf } from '../lib/machine.mjs';
import { program } from '../lib/peers.mjs';

const MODULES = process.env.APACHE_MODULES ?? '/usr/lib/apache2/modules';
const HOW = 'install Debian\'s apache2-bin and libapache2-mod-auth-openidc';
const apache = () => program('apache2', { variable: 'APACHE_BIN', how: HOW });

// One process of event threads. As long an inactivity timeout as sealgate's; the cookie is still written anew once it is
// a minute old, and each measurement begins with a fresh one.
const configuration = ({ dir, port, origin, upstream, op }) => `
ServerRoot ${dir}
DefaultRuntimeDir ${dir}/run
PidFile ${dir}/run/apache.pid
ErrorLog ${dir}/run/error.log
LogLevel error
ServerName localhost
Listen 127.0.0.1:${port}
${process.getuid() === 0 ? 'User www-data\nGroup www-data' : ''}
${['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'auth_openidc', 'headers', 'proxy', 'proxy_http']
    .map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n')}
ServerLimit 1
StartServers 1
ThreadsPerChild 64
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 60

OIDCProviderMetadataURL ${op.issuer}/.well-known/openid-configuration
OIDCClientID ${op.clientId}
OIDCClientSecret ${op.clientSecret}
OIDCRedirectURI ${origin}/bff/callback
OIDCScope "openid profile email orders.read"
OIDCPKCEMethod S256
OIDCCryptoPassphrase ${randomBytes(32).toString('hex')}
OIDCSessionType client-cookie
OIDCSessionInactivityTimeout 28800
OIDCSessionMaxDuration 28800
OIDCPassClaimsAs environment

<Location />
  AuthType openid-connect
  Require valid-user
</Location>
<Location /api>
  RequestHeader set Authorization "Bearer %{OIDC_access_token}e"
  ProxyPass ${upstream.url}/api keepalive=On
</Location>
`;

export const modAuthOpenidc = {
  id: 'mod_auth_openidc',
  name: 'mod_auth_openidc, client-cookie',
  tokens: 'plain',
  signIn: '/api/who',
  version: () => `Apache ${versionOf(apache(), '-v')}, mod_auth_openidc ${moduleVersion()}`,
  async start({ processes, core, dir, ...options }) {
    if (!existsSync(join(MODULES, 'mod_auth_openidc.so'))) throw new Error(`no mod_auth_openidc.so: ${HOW}, or set APACHE_MODULES`);
    await mkdir(join(dir, 'run'));
    const config = join(dir, 'apache.conf');
    await writeFile(config, configuration({ dir, ...options }), { mode: 0o600 });
    await chmod(dir, 0o755);
    return processes.start(apache(), ['-f', config, '-D', 'FOREGROUND'], { core, cwd: dir });
  },
};

function moduleVersion() {
  try {
    return execFileSync('dpkg-query', ['-W', '-f', '${Version}', 'libapache2-mod-auth-openidc'], { encoding: 'utf8', stdio: 'pipe' });
  } catch {
    return 'of unknown version';
  }
}
