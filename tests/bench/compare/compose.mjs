// What a composed answer costs: three parts of 1 KiB in one answer, beside one plain call and so beside three. And what
// answers of parts of 1 MiB take of memory while many of them are under way at once, and afterwards.
//
// One sealgate process, both routes in turn, so that what the machine does besides hits both alike. Every part of a
// composed answer must have reached the upstream.
import { setTimeout as sleep } from 'node:timers/promises';

import { freePorts } from '../../node/lib/ports.mjs';
import { sealgateSession } from './contestants/sealgate.mjs';
import { forgetPeak, peakMiB } from './lib/accounts.mjs';
import { holdAnswers } from './lib/held.mjs';
import { openLane } from './lib/lane.mjs';
import { measure } from './lib/load.mjs';
import { cores as findCores, describeMachine } from './lib/machine.mjs';
import { options } from './lib/options.mjs';
import { bounded } from './lib/processes.mjs';
import { figure, median, table } from './lib/table.mjs';
import { SIZES, startUpstream } from './lib/upstream.mjs';

const PARTS = 3;
const LARGE_MIB = 1;
/** How long nobody asks for anything, before memory is looked at again. */
const QUIET_MS = 10_000;
/** What memory may be in proportion to the bytes in flight. */
const MOST = 1.5;
const given = options({ rounds: 5, seconds: 3, held: 100, quick: false }, `\
usage: run compose [--rounds N] [--seconds S] [--held N] [--quick]

  --rounds   how often each is driven (5)
  --seconds  how long each time (3)
  --held     composed answers of large parts that are under way at once (100)
  --quick    two rounds of two seconds`);
const { rounds, seconds } = given.quick ? { rounds: 2, seconds: 2 } : given;

await bounded(180 + (rounds + 1) * 4 * (seconds + 5), async ({ processes, dir, ends }) => {
  const cores = findCores();
  console.log(`# What a composed answer costs\n\n${describeMachine(cores)}\n`);
  const [port] = await freePorts(1);
  const upstream = await startUpstream({ processes, dir, port, core: cores.load });
  const lane = await openLane(sealgateSession, { processes, dir, ends, upstream, cores });
  const plain = { ...lane, path: `${lane.path}/${SIZES[0].file}` };
  const composed = { ...lane, path: '/home', each: PARTS };
  const turns = [1, 32].flatMap((connections) => [
    { name: 'one plain call', lane: plain, connections },
    { name: `a composed answer of ${PARTS} parts`, lane: composed, connections },
  ]).map((turn) => ({ ...turn, results: [] }));
  const [plain1, composed1, plain32, composed32] = turns;
  const drive = (turn, span) => measure(turn.lane, {
    processes, core: cores.load, upstream, seconds: span, connections: turn.connections,
  });
  for (const turn of turns) await drive(turn, 1);
  for (let round = 0; round < rounds; round += 1) {
    for (const turn of round % 2 ? turns.toReversed() : turns) turn.results.push(await drive(turn, seconds));
    console.error(`round ${round + 1} of ${rounds} done`);
  }
  await lane.lookBack();
  const idle = lane.rss();
  const held = [];
  for (let round = 0; round < Math.max(rounds, 3); round += 1) {
    // The kernel takes a part of each answer off the program's hands before its reader does. So what counts is the peak.
    forgetPeak(lane.pid);
    const answers = await holdAnswers(lane, '/large', given.held);
    const lengths = await answers.read();
    const peak = peakMiB(lane.pid);
    if (lengths.some((bytes) => bytes <= PARTS * LARGE_MIB * 1024 * 1024)) throw new Error(`an answer is too short: ${lengths}`);
    const atOnce = lane.rss();
    await sleep(QUIET_MS);
    const quiet = lane.rss();
    // An allocator gives memory back as it is used: by whoever asks next.
    await drive(composed32, 1);
    held.push({ peak, atOnce, quiet, after: lane.rss() });
  }
  const inFlight = given.held * PARTS * LARGE_MIB;

  const of = (turn, metric) => median(turn.results.map((result) => result[metric]));
  console.log([
    `${lane.version}; parts of ${SIZES[0].name}; ${rounds} rounds of ${seconds} s`,
    table(
      ['', 'connections', 'CPU µs per request', 'req/s', 'p50 ms', 'p99 ms', 'peak MiB'],
      turns.map((turn) => [
        turn.name, String(turn.connections), ...['micros', 'rps', 'p50', 'p99', 'rss'].map((metric) => figure(of(turn, metric))),
      ]),
    ),
    table(['beside one plain call', 'figure'], [
      ['CPU, at 32 connections', `${figure(of(composed32, 'micros') / of(plain32, 'micros'))} ×`],
      ['CPU beside three plain calls', `${figure(of(composed32, 'micros') / (PARTS * of(plain32, 'micros')))} ×`],
      ['p50 more, at one connection', `${figure(of(composed1, 'p50') - of(plain1, 'p50'))} ms`],
    ]),
    `${given.held} composed answers of ${PARTS} parts of ${LARGE_MIB} MiB, all under way at once: ${inFlight} MiB in flight; idle ${figure(idle)} MiB`,
    table(['round', 'peak MiB', 'over idle, × in flight', `at most ${MOST} ×`, 'at once MiB', 'after 10 s', 'after small ones'],
      held.map(({ peak, atOnce, quiet, after }, round) => {
        const ratio = (peak - idle) / inFlight;
        return [String(round + 1), figure(peak), figure(ratio), ratio <= MOST ? 'yes' : 'no', ...[atOnce, quiet, after].map(figure)];
      })),
  ].join('\n\n'));
});
