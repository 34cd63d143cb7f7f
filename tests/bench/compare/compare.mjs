// Sealgate and its peers side by side: starts all, signs in to each, drives them in turn, prints what came of it.
import { writeFile } from 'node:fs/promises';

import { freePorts } from '../../node/lib/ports.mjs';
import { bareHyper } from './contestants/hyper.mjs';
import { bareNginx, nginxWithCookie } from './contestants/nginx.mjs';
import { envoy } from './contestants/envoy.mjs';
import { express } from './contestants/express.mjs';
import { modAuthOpenidc } from './contestants/mod_auth_openidc.mjs';
import { oauth2Proxy } from './contestants/oauth2_proxy.mjs';
import { sealgateEntra, sealgateKeycloak, sealgateOpen, sealgateSession } from './contestants/sealgate.mjs';
import { openLane } from './lib/lane.mjs';
import { measure } from './lib/load.mjs';
import { cores as findCores, describeMachine } from './lib/machine.mjs';
import { options } from './lib/options.mjs';
import { bounded } from './lib/processes.mjs';
import { report } from './lib/report.mjs';
import { SIZES, startUpstream } from './lib/upstream.mjs';

const CONTESTANTS = [
  bareNginx, nginxWithCookie, bareHyper, sealgateOpen, sealgateSession, sealgateKeycloak, sealgateEntra,
  envoy, modAuthOpenidc, oauth2Proxy, express,
];
const ids = CONTESTANTS.map(({ id }) => id).join(',');
const WARM_UP_SECONDS = 2;
const QUICK = { rounds: 1, seconds: 2 };

const given = options({ rounds: 5, seconds: 5, only: ids, quick: false, json: '' }, `\
usage: run [--rounds N] [--seconds S] [--only a,b] [--quick] [--json FILE]

  --rounds   how often each contestant is driven with each size (5); the table has the medians
  --seconds  how long each time (5)
  --only     some of ${ids}
  --quick    one round of two seconds: to see that everything works, not for figures
  --json     writes every single measurement to a file too`);
const { rounds, seconds } = given.quick ? { ...given, ...QUICK } : given;
const wanted = given.only.split(',');
const unknown = wanted.filter((id) => !CONTESTANTS.some((contestant) => contestant.id === id));
if (unknown.length) {
  console.error(`--only: no contestant ${unknown}; there are ${ids}`);
  process.exit(64);
}
const contestants = CONTESTANTS.filter(({ id }) => wanted.includes(id));

const measurements = contestants.length * SIZES.length * (rounds + 1);
const limit = 60 + contestants.length * 30 + measurements * (Math.max(seconds, WARM_UP_SECONDS) + 5);

await bounded(limit, async ({ processes, dir, ends }) => {
  const cores = findCores();
  const machine = describeMachine(cores);
  const [port] = await freePorts(1);
  const upstream = await startUpstream({ processes, dir, port, core: cores.load });

  const entries = [];
  for (const contestant of contestants) {
    const entry = { id: contestant.id, name: contestant.name, results: new Map(SIZES.map(({ name }) => [name, []])) };
    entries.push(entry);
    try {
      entry.lane = await openLane(contestant, { processes, dir, ends, upstream, cores });
      console.error(`ready: ${entry.name} (${entry.lane.version})`);
    } catch (error) {
      if (processes.over) throw error;
      entry.absent = `absent: ${error.message}`;
      console.error(`ABSENT: ${entry.name}: ${error.message}`);
    }
  }
  for (const { lane } of entries) if (lane) lane.rssIdle = lane.rss();

  /** Drives one; what goes wrong is told of it, and is not the end of the others. */
  const drive = async (entry, size, span) => {
    const { lane } = entry;
    if (!lane || entry.absent) return undefined;
    try {
      await lane.prepare();
      const path = `${lane.path}/${size.file}`;
      const result = await measure({ ...lane, path }, { processes, core: cores.load, upstream, seconds: span });
      await lane.lookBack();
      return result;
    } catch (error) {
      if (processes.over) throw error;
      entry.absent = `failed: ${error.message}`;
      console.error(`FAILED: ${entry.name}: ${error.message}`);
      return undefined;
    }
  };
  for (const entry of entries) await drive(entry, SIZES[0], WARM_UP_SECONDS);
  for (let round = 0; round < rounds; round += 1) {
    // Each round in the other direction: what drifts, drifts for all.
    for (const entry of round % 2 ? entries.toReversed() : entries) {
      for (const size of SIZES) {
        const result = await drive(entry, size, seconds);
        if (result) entry.results.get(size.name).push(result);
      }
    }
    console.error(`round ${round + 1} of ${rounds} done`);
  }
  console.log(report({ machine, entries, rounds, seconds }));
  if (given.json) {
    const raw = entries.map(({ id, lane, absent, results }) => (
      { id, version: lane?.version, absent, rssIdle: lane?.rssIdle, cookieBytes: lane?.cookieBytes, results: Object.fromEntries(results) }));
    await writeFile(given.json, `${JSON.stringify({ machine, rounds, seconds, entries: raw }, undefined, 1)}\n`);
  }
});
