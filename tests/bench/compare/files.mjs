// What a file of the app costs: sealgate's `assets` beside nginx, the same files in the same run.
//
// Each answer is looked at before it is driven: status, length and coding are what the row says.
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';

import { freePorts } from '../../node/lib/ports.mjs';
import { request } from '../../node/lib/sealgate.mjs';
import { sealgateOpen } from './contestants/sealgate.mjs';
import { openLane } from './lib/lane.mjs';
import { measure } from './lib/load.mjs';
import { cores as findCores, describeMachine, versionOf } from './lib/machine.mjs';
import { NGINX, nginxBasics } from './lib/nginx.mjs';
import { options } from './lib/options.mjs';
import { bounded, until } from './lib/processes.mjs';
import { figure, median, ratio, table } from './lib/table.mjs';
import { startUpstream } from './lib/upstream.mjs';

const KIB = 1024;

/** Text that looks like a minified bundle to who compresses it: names that come again, and much that does not. */
function script(bytes) {
  const names = Array.from({ length: 4000 }, () => randomBytes(5).toString('base64url'));
  let text = '';
  while (text.length < bytes) {
    const [a, b, c] = Array.from(randomBytes(6)).map((byte, at, all) => names[(byte * 256 + (all[at + 1] ?? 0)) % names.length]);
    text += `const ${a}=({${b}:t,...n})=>e.jsx(${c},{children:t,...n});`;
  }
  return Buffer.from(text.slice(0, bytes));
}

/** What lies in the directory. Random bytes are what no coding makes smaller. */
const FILES = {
  'small.png': randomBytes(KIB),
  'large.png': randomBytes(100 * KIB),
  'bundle.js': script(1175 * KIB),
  'index.html': Buffer.from(`<!doctype html><title>Shop</title><script>${'x();'.repeat(60)}</script>`),
};
/** What is asked for; `aim` is of sealgate, in µs of CPU. */
const ROWS = [
  { name: '304 of 1 KiB', file: 'small.png', known: true, aim: 15 },
  { name: '1 KiB', file: 'small.png', aim: 20 },
  { name: '100 KiB', file: 'large.png', aim: 60 },
  { name: 'a bundle of 1,175 KiB, compressed', file: 'bundle.js', coding: true },
  { name: 'the page', file: 'index.html' },
];
const given = options({ rounds: 5, seconds: 3, quick: false }, `\
usage: run files [--rounds N] [--seconds S] [--quick]

  --rounds   how often each is driven (5)
  --seconds  how long each time (3)
  --quick    two rounds of one second`);
const { rounds, seconds } = given.quick ? { rounds: 2, seconds: 1 } : given;

const configuration = (dir, root, port) => `
${nginxBasics(dir)}
  include /etc/nginx/mime.types;
  sendfile on;
  tcp_nopush on;
  gzip on;
  gzip_types text/javascript application/javascript;
  server { listen 127.0.0.1:${port} backlog=4096; root ${root}; }
}
`;

async function startNginx({ processes, dir: parent, cores }, root) {
  const dir = join(parent, 'nginx-files');
  await mkdir(dir);
  const [port] = await freePorts(1);
  const config = join(dir, 'nginx.conf');
  await writeFile(config, configuration(dir, root, port));
  const started = processes.start(NGINX, ['-c', config, '-p', dir, '-e', join(dir, 'error.log')], { core: cores.proxy, cwd: dir });
  await until('nginx', started, async () => (await request(`http://127.0.0.1:${port}/`)).status === 200);
  return { id: 'nginx', pid: started.pid, port, host: `localhost:${port}` };
}

/** What a lane answers: status, headers, and how many bytes crossed. */
const look = ({ port, host }, path, headers) => new Promise((resolve, reject) => {
  get({ host: '127.0.0.1', port, path, headers: { host, ...headers }, agent: false }, (res) => {
    let bytes = 0;
    res.on('data', (piece) => { bytes += piece.length; });
    res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, bytes }));
  }).on('error', reject);
});

/** The lane as it is driven for a row, and what its answers are. */
async function prepare(lane, { file, known, coding }) {
  const path = `/${file}`;
  const headers = coding ? { 'Accept-Encoding': 'gzip, deflate, br' } : {};
  let answer;
  // Whoever asks while a file is being compressed gets it as it is.
  for (let tries = 0; tries < (coding ? 100 : 1); tries += 1) {
    answer = await look(lane, path, headers);
    if (answer.headers['content-encoding']) break;
  }
  if (answer.status !== 200) throw new Error(`${lane.id}: ${answer.status} for ${path}`);
  if (!coding && answer.bytes !== FILES[file].length) throw new Error(`${lane.id}: ${answer.bytes} bytes of ${path}`);
  if (known) {
    headers['If-None-Match'] = answer.headers.etag;
    answer = await look(lane, path, headers);
    if (answer.status !== 304) throw new Error(`${lane.id}: ${answer.status} for a file that is known`);
  }
  return { ...lane, path, headers, answer };
}

await bounded(180 + (rounds + 1) * ROWS.length * 2 * (seconds + 5), async ({ processes, dir, ends }) => {
  const cores = findCores();
  console.log(`# What a file costs\n\n${describeMachine(cores)}\n`);
  const [port] = await freePorts(1);
  const upstream = await startUpstream({ processes, dir, port, core: cores.load });
  const scene = { processes, dir, ends, upstream, cores };
  const sealgate = await openLane(sealgateOpen, scene);
  const root = join(sealgate.dir, 'assets');
  for (const [name, bytes] of Object.entries(FILES)) await writeFile(join(root, name), bytes);
  const nginx = await startNginx(scene, root);

  const turns = [];
  for (const row of ROWS) {
    for (const lane of [sealgate, nginx]) turns.push({ row, lane: await prepare(lane, row), results: [] });
  }
  const drive = (turn, span) => measure(turn.lane, { processes, core: cores.load, seconds: span });
  for (let round = 0; round < rounds; round += 1) {
    for (const turn of round % 2 ? turns.toReversed() : turns) turn.results.push(await drive(turn, seconds));
    console.error(`round ${round + 1} of ${rounds} done`);
  }

  const of = (turn, metric) => median(turn.results.map((result) => result[metric]));
  console.log([
    `${sealgate.version}, ${`nginx ${versionOf(NGINX, '-v')}`}; 32 connections; ${rounds} rounds of ${seconds} s`,
    table(
      ['', 'by', 'bytes', 'CPU µs', '× nginx', 'aim', 'req/s', 'p50 ms', 'p99 ms', 'peak MiB'],
      turns.map((turn, at) => {
        const beside = turns[at | 1];
        const coding = turn.lane.answer.headers['content-encoding'];
        return [
          turn.row.name, turn.lane.id === 'nginx' ? 'nginx' : 'sealgate', `${turn.lane.answer.bytes}${coding ? ` ${coding}` : ''}`,
          figure(of(turn, 'micros')), turn === beside ? '–' : ratio(of(turn, 'micros'), of(beside, 'micros')),
          turn === beside || !turn.row.aim ? '–' : String(turn.row.aim),
          ...['rps', 'p50', 'p99', 'rss'].map((metric) => figure(of(turn, metric))),
        ];
      }),
      { texts: 2 },
    ),
  ].join('\n\n'));
});
