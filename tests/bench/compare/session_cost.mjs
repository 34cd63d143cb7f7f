// What a session costs: one sealgate process, its `token = none` route and its `token = user` route in turn, CPU per request. A second
// process has tokens that are bound to a key (DPoP), so that each request costs a signature.
//
// Short turns and the difference within each round, so that what the machine does besides hits both alike. In the same
// run: nginx without and with a cookie of the very same length, which is what merely carrying those bytes costs.
import { freePorts } from '../../node/lib/ports.mjs';
import { anyCookie, bareNginx } from './contestants/nginx.mjs';
import { sealgateBound, SESSIONS } from './contestants/sealgate.mjs';
import { openLane } from './lib/lane.mjs';
import { measure } from './lib/load.mjs';
import { cores as findCores, describeMachine } from './lib/machine.mjs';
import { options } from './lib/options.mjs';
import { bounded } from './lib/processes.mjs';
import { figure, median, table } from './lib/table.mjs';
import { SIZES, startUpstream } from './lib/upstream.mjs';

const given = options({ rounds: 10, seconds: 3, tokens: 'plain', quick: false }, `\
usage: run session-cost [--rounds N] [--seconds S] [--tokens plain|keycloak|entra] [--quick]

  --rounds   how often each is driven (10)
  --seconds  how long each time (3)
  --quick    two rounds of two seconds`);
const { rounds, seconds } = given.quick ? { rounds: 2, seconds: 2 } : given;
const contestant = SESSIONS.get(given.tokens);
if (!contestant) {
  console.error(`--tokens: one of ${[...SESSIONS.keys()]}`);
  process.exit(64);
}

await bounded(120 + (rounds + 1) * 5 * (seconds + 5), async ({ processes, dir, ends }) => {
  const cores = findCores();
  console.log(`# What a session costs\n\n${describeMachine(cores)}\n`);
  const [port] = await freePorts(1);
  const upstream = await startUpstream({ processes, dir, port, core: cores.load });
  const scene = { processes, dir, ends, upstream, cores };
  const [sealgate, nginx, bound] = [await openLane(contestant, scene), await openLane(bareNginx, scene), await openLane(sealgateBound(given.tokens), scene)];
  const { cookieBytes } = sealgate;

  const turns = [
    { name: 'token = none', lane: { ...sealgate, path: '/open', cookie: undefined } },
    { name: 'token = none, the cookie sent all the same', lane: { ...sealgate, path: '/open' } },
    { name: 'token = user: the session', lane: sealgate },
    { name: 'bare nginx', lane: nginx },
    { name: 'bare nginx, a cookie of that length', lane: { ...nginx, cookie: anyCookie(cookieBytes) } },
    { name: 'token = user, with DPoP', lane: bound },
    { name: 'token = none beside DPoP', lane: { ...bound, path: '/open', cookie: undefined } },
  ].map((turn) => ({ ...turn, results: [], micros: [] }));
  const drive = ({ lane }, span) => measure(
    { ...lane, path: `${lane.path}/${SIZES[0].file}` }, { processes, core: cores.load, upstream, seconds: span },
  );
  for (const turn of turns) await drive(turn, 2);
  for (let round = 0; round < rounds; round += 1) {
    for (const turn of round % 2 ? turns.toReversed() : turns) {
      const result = await drive(turn, seconds);
      turn.results.push(result);
      turn.micros.push(result.micros);
    }
    console.error(`round ${round + 1} of ${rounds} done`);
  }
  for (const lane of [sealgate, bound]) {
    await lane.lookBack();
    if (lane.remarks.size) throw new Error([...lane.remarks].join('; '));
  }

  const spread = (values) => [median(values), Math.min(...values), Math.max(...values)].map(signed);
  const over = (a, b) => spread(turns[a].micros.map((micros, at) => micros - turns[b].micros[at]));
  console.log([
    `${sealgate.version}, ${nginx.version}; ${given.tokens} tokens, ${cookieBytes} bytes of cookies, answers of ${SIZES[0].name}; ${rounds} rounds of ${seconds} s`,
    table(
      ['CPU µs per request', 'median', 'least', 'most', 'req/s', 'p50 ms', 'p99 ms'],
      turns.map(({ name, micros, results }) => [
        name, ...spread(micros), ...['rps', 'p50', 'p99'].map((metric) => figure(median(results.map((result) => result[metric])))),
      ]),
    ),
    table(['differences within a round', 'median', 'least', 'most'], [
      ['a session over token = none', ...over(2, 0)],
      ['  of which receiving and dropping the cookie', ...over(1, 0)],
      ['  of which all the rest: opening it, sending the token', ...over(2, 1)],
      ['a session with DPoP over token = none', ...over(5, 6)],
      ['  of which DPoP: a proof for each request', ...over(5, 2)],
      ['nginx forwarding such a cookie over bare nginx', ...over(4, 3)],
    ]),
  ].join('\n\n'));
});

function signed(value) {
  return value < 0 ? `−${figure(-value)}` : figure(value);
}
