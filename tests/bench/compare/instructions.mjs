// What a request costs in instructions: a bare hyper proxy and sealgate under callgrind, sealgate's routes in turn.
//
// Counts of user-space instructions are the same on a busy machine as on a quiet one; the kernel's part of a request is
// not in them. A binary with symbols (`CARGO_PROFILE_RELEASE_STRIP=none`) lets callgrind_annotate name functions.
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { freePorts } from '../../node/lib/ports.mjs';
import { request } from '../../node/lib/sealgate.mjs';
import { makeCertificate } from '../../node/lib/tls.mjs';
import { bareHyper } from './contestants/hyper.mjs';
import { sealgateDevice, SESSIONS } from './contestants/sealgate.mjs';
import { startCollector } from './lib/collector.mjs';
import { bind } from './lib/device.mjs';
import { openLane } from './lib/lane.mjs';
import { measure } from './lib/load.mjs';
import { cores as findCores } from './lib/machine.mjs';
import { options } from './lib/options.mjs';
import { program } from './lib/peers.mjs';
import { bounded, until } from './lib/processes.mjs';
import { figure, median, ratio, table } from './lib/table.mjs';
import { SIZES, startUpstream } from './lib/upstream.mjs';

const given = options({ rounds: 2, seconds: 5, tokens: 'plain', keep: '', 'keep-traced': '' }, `\
usage: run instructions [--rounds N] [--seconds S] [--tokens plain|keycloak|entra] [--keep FILE] [--keep-traced FILE]

  --rounds       how often each is driven (2)
  --seconds      how long each time (5)
  --keep         keeps the last profile of the session's route, for callgrind_annotate
  --keep-traced  the same with traces`);
const { rounds, seconds } = given;
const contestant = SESSIONS.get(given.tokens);
if (!contestant) {
  console.error(`--tokens: one of ${[...SESSIONS.keys()]}`);
  process.exit(64);
}

await bounded(240 + (rounds + 1) * 9 * (seconds + 15), async ({ processes, dir, ends }) => {
  const cores = findCores();
  const valgrind = program('valgrind', { variable: 'VALGRIND_BIN', how: 'install Debian\'s valgrind' });
  const [port] = await freePorts(1);
  const upstream = await startUpstream({ processes, dir, port, core: cores.load });
  const profileAt = (place) => join(dir, `callgrind-${place}`);
  // Names in full: each dump would else refer to those of the dumps before it.
  const counting = (profile) => [valgrind, '--tool=callgrind', '--compress-strings=no', `--callgrind-out-file=${profile}`];
  const open = async (each, more = {}, place = each.id) => {
    const profile = profileAt(place);
    const under = counting(profile);
    return Object.assign(await openLane(each, { processes, dir, ends, upstream, cores, under, more, place }), { profile });
  };
  const [hyper, sealgate] = [await open(bareHyper), await open(contestant)];
  // Browsers bind a session over TLS only, and a handshake would be counted with the requests. So one process binds it, and
  // another one with the same keys serves it, as behind a proxy that ends TLS.
  const binding = sealgateDevice(given.tokens);
  const over = await openLane(binding, { processes, dir, ends, upstream, cores, more: { tls: makeCertificate(dir) } });
  const behind = await startBehind(over);
  const unbound = { ...behind };
  const proveAgain = await bind(over);
  const prove = async () => {
    await proveAgain();
    await over.prepare();
    behind.cookie = over.cookie;
  };
  async function startBehind(lane) {
    const [place, profile, [plain]] = [join(dir, 'behind'), profileAt('behind'), await freePorts(1)];
    await mkdir(place);
    const started = await binding.start({
      processes, core: cores.proxy, dir: place, port: plain, origin: lane.origin, upstream, op: lane.op, under: counting(profile),
      keys: join(lane.dir, 'keys'),
    });
    await until(binding.name, started, started.ready, { seconds: 60 });
    return { ...lane, port: plain, pid: started.pid, tls: undefined, profile };
  }
  const collector = await startCollector({ ends });
  const traced = await open(contestant, { env: collector.env }, 'traced');

  // A file of the app, 1 KiB of what no coding makes smaller, to a client that has it and to one that has not.
  await writeFile(join(sealgate.dir, 'assets', 'small.png'), randomBytes(1024));
  const small = await request(`${sealgate.origin}/small.png`);
  const file = { ...sealgate, cookie: undefined, path: '/small.png' };

  const turns = [
    { name: 'bare hyper proxy', lane: hyper },
    { name: 'sealgate, token = none', lane: { ...sealgate, path: '/open', cookie: undefined } },
    { name: 'sealgate, token = none, the cookie sent all the same', lane: { ...sealgate, path: '/open' } },
    { name: 'sealgate, token = user: the session', lane: sealgate, keep: given.keep },
    { name: 'a session that could be bound to a device', lane: unbound },
    { name: 'the same session, bound', lane: behind, prove },
    { name: 'the session, every request traced', lane: traced, keep: given['keep-traced'] },
    { name: 'a file of 1 KiB', lane: file, isFile: true },
    { name: 'the same, 304', lane: { ...file, headers: { 'If-None-Match': small.headers.etag } }, isFile: true },
  ].map((turn) => ({ ...turn, counts: [] }));
  const dumps = new Map();
  const drive = async (turn, span) => {
    const { lane, prove, isFile } = turn;
    await prove?.();
    const tell = (option) => processes.run('callgrind_control', [option, String(lane.pid)], { core: cores.load });
    await tell('-z');
    const { requests } = await measure(
      isFile ? lane : { ...lane, path: `${lane.path}/${SIZES[0].file}` },
      { processes, core: cores.load, upstream: isFile ? undefined : upstream, seconds: span },
    );
    await tell('-d');
    const nth = (dumps.get(lane.profile) ?? 0) + 1;
    dumps.set(lane.profile, nth);
    turn.dump = `${lane.profile}.${nth}`;
    return Number((await readFile(turn.dump, 'utf8')).match(/^totals: (\d+)$/m)[1]) / requests;
  };
  for (const turn of turns) await drive(turn, 2);
  for (let round = 0; round < rounds; round += 1) {
    for (const turn of turns) turn.counts.push(await drive(turn, seconds));
    console.error(`round ${round + 1} of ${rounds} done`);
  }
  for (const { keep, dump } of turns) if (keep) await copyFile(dump, keep);

  const [floor, none] = turns.map(({ counts }) => median(counts));
  console.log(`${hyper.version}, ${sealgate.version}; ${given.tokens} tokens, ${sealgate.cookieBytes} bytes of cookies, answers of ${SIZES[0].name}\n`);
  console.log(table(['thousand instructions per request', 'median', 'least', 'most', '× hyper', 'over none'], turns.map(({ name, counts }) => {
    const own = median(counts);
    return [
      name, ...[own, Math.min(...counts), Math.max(...counts)].map((count) => figure(count / 1000)), ratio(own, floor),
      own > none ? figure((own - none) / 1000) : '–',
    ];
  })));
});
