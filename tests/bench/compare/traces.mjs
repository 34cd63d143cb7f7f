// What traces cost: the same load to two sealgate processes in turn, one of which exports every request to a collector on
// loopback.
//
// Short turns, and ratios within each round, so that what the machine does besides hits both alike. The thread that encodes and
// sends spans is part of the process, so its CPU time counts. A third process has a collector that never answers.
import { once } from 'node:events';
import { createServer } from 'node:net';

import { freePorts } from '../../node/lib/ports.mjs';
import { SESSIONS } from './contestants/sealgate.mjs';
import { startCollector } from './lib/collector.mjs';
import { openLane } from './lib/lane.mjs';
import { measure } from './lib/load.mjs';
import { cores as findCores, describeMachine } from './lib/machine.mjs';
import { options } from './lib/options.mjs';
import { bounded } from './lib/processes.mjs';
import { figure, median, table } from './lib/table.mjs';
import { SIZES, startUpstream } from './lib/upstream.mjs';

const given = options({ rounds: 6, seconds: 3, connections: 32, quick: false }, `\
usage: run traces [--rounds N] [--seconds S] [--connections N] [--quick]

  --rounds       how often each is driven (6)
  --seconds      how long each time (3)
  --connections  how many ask at once (32)
  --quick        two rounds of two seconds`);
const { rounds, seconds, connections } = given.quick ? { ...given, rounds: 2, seconds: 2 } : given;
const METRICS = [['micros', 'CPU µs per request'], ['rps', 'requests per second'], ['p50', 'p50 ms'], ['p99', 'p99 ms'], ['rss', 'peak MiB']];

await bounded(120 + (rounds + 1) * 3 * (seconds + 5), async ({ processes, dir, ends }) => {
  const cores = findCores();
  console.log(`# What traces cost\n\n${describeMachine(cores)}\n`);
  const [port] = await freePorts(1);
  const upstream = await startUpstream({ processes, dir, port, core: cores.load });
  const collector = await startCollector({ ends });
  const silent = await startSilence(ends);
  const contestant = SESSIONS.get('plain');
  const open = (place, env) => openLane(contestant, { processes, dir, ends, upstream, cores, more: { env }, place });
  const turns = [
    { name: 'no traces', lane: await open('off', {}) },
    { name: 'every request traced', lane: await open('on', collector.env) },
    { name: 'a collector that never answers', lane: await open('silent', { ...collector.env, OTEL_EXPORTER_OTLP_ENDPOINT: silent }) },
  ].map((turn) => ({ ...turn, results: [] }));
  const drive = ({ lane }, span) => measure(
    { ...lane, path: `${lane.path}/${SIZES[0].file}` }, { processes, core: cores.load, upstream, seconds: span, connections },
  );
  for (const turn of turns) await drive(turn, 2);
  const before = collector.counts();
  for (let round = 0; round < rounds; round += 1) {
    for (const turn of round % 2 ? turns.toReversed() : turns) turn.results.push(await drive(turn, seconds));
    console.error(`round ${round + 1} of ${rounds} done`);
  }
  // What waits at the end is sent at the end.
  await turns[1].lane.stop();
  const after = collector.counts();
  const traced = turns[1].results.reduce((sum, { requests }) => sum + requests, 0);
  const [spans, bytes] = ['spans', 'bytes'].map((what) => after[what] - before[what]);

  const [off, ...others] = turns;
  const spread = (values) => [median(values), Math.min(...values), Math.max(...values)].map(figure);
  const ratios = (turn, metric) => spread(turn.results.map((result, at) => result[metric] / off.results[at][metric]));
  console.log([
    `${off.lane.version}; a session, answers of ${SIZES[0].name}, ${connections} connections; ${rounds} rounds of ${seconds} s`,
    table(['medians', ...METRICS.map(([, name]) => name)], turns.map(({ name, results }) => [
      name, ...METRICS.map(([metric]) => figure(median(results.map((result) => result[metric])))),
    ])),
    ...others.map((turn) => table([`${turn.name}, × no traces, within a round`, 'median', 'least', 'most'], [
      ...METRICS.map(([metric, name]) => [name, ...ratios(turn, metric)]),
    ])),
    table(['CPU µs per request more than without', 'median', 'least', 'most'], others.map(({ name, results }) => [
      name, ...spread(results.map(({ micros }, at) => micros - off.results[at].micros)),
    ])),
    `The collector got ${figure(spans / traced)} spans and ${figure(bytes / traced)} bytes for each of ${traced} requests, in ${
      after.exports - before.exports} exports.`,
  ].join('\n\n'));
});

/** Takes connections, and never says anything. Gives its URL. */
async function startSilence(ends) {
  const sockets = new Set();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}).resume());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `http://127.0.0.1:${server.address().port}`;
}
