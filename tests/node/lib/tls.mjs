// Self-signed certificates, fresh for each run.
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { program } from './programs.mjs';

/** Writes `NAME.crt` and `NAME.key` (PKCS #8) into `dir` with the openssl command. By default it is for localhost, and an authority, too. */
export function makeCertificate(dir, { name = 'tls', commonName = 'localhost', isAuthority = true } = {}) {
  const [cert, key] = [join(dir, `${name}.crt`), join(dir, `${name}.key`)];
  execFileSync(program('openssl'), [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
    ...(isAuthority ? [] : ['-addext', 'basicConstraints=critical,CA:FALSE']),
    '-subj', `/CN=${commonName}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-out', cert, '-keyout', key,
  ], { stdio: 'pipe' });
  chmodSync(key, 0o600);
  return { cert, key, pem: readFileSync(cert, 'utf8') };
}
