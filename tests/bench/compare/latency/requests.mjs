// Answers and uploads of different sizes, over plain HTTP and TLS, on few and many kept connections: wrk drives all proxies in turns.
import { fileURLToPath } from 'node:url';

import { bareNginx, unbufferedNginx } from '../contestants/nginx.mjs';
import { sealgateOpen, sealgateSession } from '../contestants/sealgate.mjs';
import { Cell } from '../lib/cells.mjs';
import { openLanes } from '../lib/lane.mjs';
import { measure } from '../lib/load.mjs';
import { ANSWERS, REQUESTS_PER_UPLOAD } from '../lib/upstream.mjs';

const UPLOAD = fileURLToPath(new URL('../lib/upload.lua', import.meta.url));
const KIB = 1024;
/** Ten mebibytes thirty-two times at once would measure the load generator's memory. */
const UPLOADS = [
  { name: '64 KiB', bytes: 64 * KIB, connections: [1, 32] },
  { name: '10 MiB', bytes: 10 * KIB * KIB, connections: [1, 8] },
];
const WARM_UP = { seconds: 1, connections: 32 };

export const answers = (scene) => drive(scene, 'answers', ANSWERS.filter(({ name }) => scene.plan.sizes.includes(name))
  .flatMap(({ name, file }) => scene.plan.connections.map((connections) => ({ what: name, connections, path: `/${file}` }))));

export const uploads = (scene) => drive(scene, 'uploads', UPLOADS.flatMap(({ name, bytes, connections }) => (
  connections.slice(0, scene.plan.uploads).map((count) => ({
    what: name, connections: count, path: '/upload', script: UPLOAD, env: { BYTES: String(bytes) }, each: REQUESTS_PER_UPLOAD,
  })))));

/** Every load over both transports. Memory is read as the first round goes: from the least load to the most. */
async function drive(scene, part, loads) {
  const { plan, processes, cores, upstream, certificate } = scene;
  const contestants = [
    bareNginx, ...(plan.unbuffered && part === 'answers' ? [unbufferedNginx] : []), ...(plan.open ? [sealgateOpen] : []), sealgateSession,
  ];
  const all = [];
  for (const tls of [undefined, certificate]) {
    const over = tls ? 'TLS' : 'HTTP';
    const lanes = await openLanes(contestants, scene, { place: `${part}-${over}`, tls, bodyLimit: '64MiB' });
    const once = async (lane, { connections, path, seconds = plan.seconds, ...load }) => {
      await lane.prepare();
      return measure({ ...lane, ...load, path: `${lane.path}${path}` }, { processes, core: cores.load, upstream, seconds, connections });
    };
    const cells = loads.map(({ what, connections }) => new Cell({ part, over, what, connections }));
    all.push(...cells);
    for (const lane of lanes) await once(lane, { ...loads[0], ...WARM_UP });
    for (let round = 0; round < plan.rounds; round += 1) {
      for (const [at, load] of loads.entries()) {
        for (const lane of round % 2 ? lanes.toReversed() : lanes) cells[at].add(lane, await once(lane, load));
      }
      console.error(`${part} over ${over}: round ${round + 1} of ${plan.rounds} done`);
    }
    for (const { name, remarks } of lanes) if (remarks.size) throw new Error(`${name}: ${[...remarks].join('; ')}`);
    for (const lane of lanes) await lane.stop();
  }
  return { cells: all };
}
