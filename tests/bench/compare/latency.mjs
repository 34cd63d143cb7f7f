// Latency as a user feels it: bare nginx and sealgate in turns, for all that a page asks of them.
import { writeFile } from 'node:fs/promises';

import { freePorts } from '../../node/lib/ports.mjs';
import { binary } from '../../node/lib/sealgate.mjs';
import { makeCertificate } from '../../node/lib/tls.mjs';
import { beside } from './latency/beside.mjs';
import { handshakes } from './latency/handshakes.mjs';
import { http2 } from './latency/http2.mjs';
import { idle } from './latency/idle.mjs';
import { report } from './latency/report.mjs';
import { answers, uploads } from './latency/requests.mjs';
import { events, websocket } from './latency/streams.mjs';
import { cores as findCores, describeMachine, versionOf } from './lib/machine.mjs';
import { NGINX } from './lib/nginx.mjs';
import { options } from './lib/options.mjs';
import { bounded } from './lib/processes.mjs';
import { ANSWERS, startUpstream } from './lib/upstream.mjs';

const PARTS = new Map(Object.entries({ answers, beside, uploads, 'HTTP/2': http2, events, WebSocket: websocket, handshakes, idle }));
const LIMIT_SECONDS = { quick: 240, full: 3600 };

const given = options({ rounds: 3, seconds: 3, only: [...PARTS.keys()].join(','), quick: false, unbuffered: false, json: '' }, `\
usage: run latency [--rounds N] [--seconds S] [--only a,b] [--quick] [--unbuffered] [--json FILE]

  --rounds      how often each proxy is measured under the same conditions (3); the tables have the medians
  --seconds     how long each time (3), whole seconds
  --only        some of ${[...PARTS.keys()].join(',')}
  --quick       one round of one second and fewer conditions, two minutes: to see that everything works, not for figures
  --unbuffered  answers also of an nginx that buffers nothing
  --json        writes every single measurement to a file too`);
const wanted = given.only.split(',');
const unknown = wanted.filter((name) => !PARTS.has(name));
if (unknown.length) {
  console.error(`--only: no part ${unknown}; there are ${[...PARTS.keys()]}`);
  process.exit(64);
}
const plan = given.quick ? {
  rounds: 1, seconds: 1, sizes: ['1 KiB', '100 KiB'], connections: [1, 32], uploads: 1, streams: [1], handshakes: 50, idle: [2000], idleTls: 0,
} : {
  rounds: given.rounds, seconds: Math.ceil(given.seconds), sizes: ANSWERS.map(({ name }) => name), connections: [1, 32, 256],
  uploads: 2, streams: [1, 32], handshakes: 200, idle: [2000, 10_000], idleTls: 2000, open: true, unbuffered: given.unbuffered,
};

await bounded(LIMIT_SECONDS[given.quick ? 'quick' : 'full'], async ({ processes, dir, ends }) => {
  const cores = findCores();
  const machine = describeMachine(cores);
  const versions = [`sealgate ${versionOf(binary(), '--version')}`, `nginx ${versionOf(NGINX, '-v')}`];
  const [port] = await freePorts(1);
  const upstream = await startUpstream({ processes, dir, port, core: cores.load });
  const scene = { plan, processes, dir, ends, cores, upstream, certificate: makeCertificate(dir) };
  const parts = new Map();
  let failed;
  for (const name of wanted) {
    try {
      parts.set(name, await PARTS.get(name)(scene));
    } catch (error) {
      // What others have found is not lost for it.
      if (processes.over) throw error;
      failed = error;
      parts.set(name, { cells: [], remarks: [`**failed:** ${error.message}`] });
    }
  }
  console.log(report({ machine, versions, plan, parts }));
  if (given.json) await writeFile(given.json, `${JSON.stringify({ machine, versions, plan, parts: Object.fromEntries(parts) }, undefined, 1)}\n`);
  if (failed) throw failed;
});
