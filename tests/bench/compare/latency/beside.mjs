// Small answers while others download: a proxy that goes on with whatever is ready may let large answers keep small ones waiting.
import { setTimeout as sleep } from 'node:timers/promises';

import { bareNginx } from '../contestants/nginx.mjs';
import { sealgateSession } from '../contestants/sealgate.mjs';
import { Cell } from '../lib/cells.mjs';
import { openLanes } from '../lib/lane.mjs';
import { measure } from '../lib/load.mjs';
import { ANSWERS } from '../lib/upstream.mjs';

/** Of each kind. */
const CONNECTIONS = 64;
/** Until the downloads are under way. */
const HEAD_START_MS = 500;

export async function beside(scene) {
  const { plan, processes, cores, upstream, certificate } = scene;
  const [small, large] = ['1 KiB', '1 MiB'].map((size) => ANSWERS.find(({ name }) => name === size));
  const all = [];
  for (const tls of [undefined, certificate]) {
    const over = tls ? 'TLS' : 'HTTP';
    const lanes = await openLanes([bareNginx, sealgateSession], scene, { place: `beside-${over}`, tls });
    const cells = [[small, large], [large, small]].map(([own, others]) => (
      new Cell({ part: 'beside', over, what: `${own.name} beside ${CONNECTIONS} × ${others.name}`, connections: CONNECTIONS })));
    all.push(...cells);
    for (let round = 0; round < plan.rounds; round += 1) {
      for (const lane of round % 2 ? lanes.toReversed() : lanes) {
        await lane.prepare();
        const load = ({ file }, seconds) => measure(
          { ...lane, path: `${lane.path}/${file}` }, { processes, core: cores.load, upstream, seconds, connections: CONNECTIONS });
        const downloads = load(large, plan.seconds + 1);
        const answers = sleep(HEAD_START_MS).then(() => load(small, plan.seconds));
        const seen = await Promise.all([answers, downloads]);
        // CPU time and memory are of both loads together.
        seen.forEach(({ rps, p50, p99 }, at) => cells[at].add(lane, { rps, p50, p99 }));
      }
      console.error(`beside over ${over}: round ${round + 1} of ${plan.rounds} done`);
    }
    for (const lane of lanes) await lane.stop();
  }
  return { cells: all };
}
