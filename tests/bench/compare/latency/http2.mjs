// Answers over HTTP/2, as browsers fetch them: many at once on one connection, and one at a time on many.
import { once } from 'node:events';
import { connect } from 'node:tls';

import { bareNginx } from '../contestants/nginx.mjs';
import { sealgateSession } from '../contestants/sealgate.mjs';
import { Cell } from '../lib/cells.mjs';
import { openLanes } from '../lib/lane.mjs';
import { measureH2 } from '../lib/load_h2.mjs';
import { program } from '../lib/peers.mjs';
import { ANSWERS } from '../lib/upstream.mjs';

const CLIENTS = [{ connections: 1, streams: 1 }, { connections: 1, streams: 32 }, { connections: 32, streams: 1 }];

export async function http2(scene) {
  const { plan, processes, cores, dir, upstream, certificate: tls } = scene;
  const h2load = program('h2load', { variable: 'H2LOAD_BIN', how: 'install Debian\'s nghttp2-client' });
  const lanes = await openLanes([bareNginx, sealgateSession], scene, { place: 'http2', tls, http2: true });
  try {
    for (const lane of lanes) if (!await offersH2(lane)) return { cells: [], remarks: [`${lane.name} does not offer HTTP/2`] };
    const loads = ANSWERS.filter(({ name }) => plan.sizes.includes(name))
      .flatMap(({ name, file }) => CLIENTS.map((client) => ({ ...client, file, what: `${name}, ${client.streams} at once` })));
    const cells = loads.map(({ what, connections }) => new Cell({ part: 'HTTP/2', over: 'TLS', what, connections }));
    const drive = async (lane, { file, connections, streams }) => {
      await lane.prepare();
      const around = { h2load, processes, core: cores.load, dir, upstream, seconds: plan.seconds, connections, streams };
      return measureH2({ ...lane, path: `${lane.path}/${file}` }, around);
    };
    for (const lane of lanes) await drive(lane, loads[0]);
    for (let round = 0; round < plan.rounds; round += 1) {
      for (const [at, load] of loads.entries()) {
        for (const lane of round % 2 ? lanes.toReversed() : lanes) cells[at].add(lane, await drive(lane, load));
      }
      console.error(`HTTP/2: round ${round + 1} of ${plan.rounds} done`);
    }
    return { cells };
  } finally {
    for (const lane of lanes) await lane.stop();
  }
}

async function offersH2({ port, tls }) {
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca: tls.pem, ALPNProtocols: ['h2', 'http/1.1'] });
  try {
    await once(socket, 'secureConnect');
    return socket.alpnProtocol === 'h2';
  } finally {
    socket.destroy();
  }
}
