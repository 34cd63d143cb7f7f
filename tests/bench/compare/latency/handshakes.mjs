// New TLS connections: how many a second, how long each takes, and where a session can be resumed.
//
// `openssl s_time` counts: it opens one connection after the other, asks for something that each proxy refuses in its own
// name, and reads to the end, the tickets for the next connection among it. Node's TLS client measures single handshakes.
import { once } from 'node:events';
import { connect } from 'node:tls';

import { bareNginx } from '../contestants/nginx.mjs';
import { sealgateSession } from '../contestants/sealgate.mjs';
import { cpuSeconds } from '../lib/accounts.mjs';
import { Cell } from '../lib/cells.mjs';
import { openLane, openLanes } from '../lib/lane.mjs';
import { percentile, table } from '../lib/table.mjs';

const AT_ONCE = 4;
/** Whose connections come between, for a server that remembers only so many sessions. */
const OTHERS = 300;
const MODES = [{ what: 'new', option: '-new' }, { what: 'resumed', option: '-reuse' }];
const TICKET_MS = 2000;

export async function handshakes(scene) {
  const { plan, certificate: tls } = scene;
  const lanes = await openLanes([bareNginx, sealgateSession], scene, { place: 'handshakes', tls });
  const cells = MODES.map(({ what }) => new Cell({ part: 'handshakes', over: 'TLS', what }));
  for (let round = 0; round < plan.rounds; round += 1) {
    for (const [at, { what, option }] of MODES.entries()) {
      for (const lane of round % 2 ? lanes.toReversed() : lanes) {
        cells[at].add(lane, { ...await rate(lane, option, scene), ...await times(lane, what === 'resumed', plan.handshakes) });
      }
    }
  }
  const rows = [];
  const remarks = MODES.flatMap(({ what }, at) => lanes.map(({ id, name }) => (
    `${what}, ${name}: of the connections that were counted, ${(cells[at].of(id, 'resumed') * 100).toFixed(0)} % resumed a session.`)));
  for (const lane of lanes) rows.push(await whereResumed(lane, scene));
  const places = table(['A session is resumed', 'at the same process', `after ${OTHERS} other clients`, 'at another process, same configuration and keys'], rows, { texts: 4 });
  console.error('handshakes: done');
  return { cells, tables: [places], remarks };
}

/** As many as some clients can, for some seconds. */
async function rate({ pid, port }, option, { plan, processes, cores }) {
  const [cpu, began] = [cpuSeconds(pid), performance.now()];
  const outputs = await Promise.all(Array.from({ length: AT_ONCE }, () => processes.run('openssl', [
    's_time', '-connect', `127.0.0.1:${port}`, option, '-time', String(plan.seconds), '-www', '/of-its-own',
  ], { core: cores.load })));
  const passed = (performance.now() - began) / 1000;
  const used = cpuSeconds(pid) - cpu;
  // A star for each new session, an r for each that was resumed.
  const marks = outputs.map((text) => text.match(/^[*r]+$/m)?.[0] ?? '').join('');
  if (!marks.length) throw new Error(`openssl s_time: ${outputs[0].slice(-300)}`);
  const resumed = (marks.split('r').length - 1) / marks.length;
  return { rps: marks.length / passed, micros: used * 1e6 / marks.length, busy: used / passed, resumed };
}

/** One after the other, from opening the connection until both sides are sure of the keys. */
async function times(lane, resume, count) {
  const all = [];
  let { session } = await shake(lane);
  for (let nth = 0; nth < count; nth += 1) {
    const made = await shake(lane, resume ? session : undefined);
    if (made.resumed !== resume) throw new Error(`${lane.name}: ${resume ? 'did not resume' : 'resumed'} a session`);
    session = made.session;
    all.push(made.millis);
  }
  return { p50: percentile(all, 0.5), p99: percentile(all, 0.99) };
}

/** One connection: how long its handshake took, whether it was resumed, and the session for the next. */
async function shake({ port, tls }, session) {
  const began = performance.now();
  const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca: tls.pem, session });
  const ticket = once(socket, 'session', { signal: AbortSignal.timeout(TICKET_MS) });
  ticket.catch(() => {});
  await once(socket, 'secureConnect');
  const millis = performance.now() - began;
  const resumed = socket.isSessionReused();
  try {
    const [next] = await ticket;
    return { millis, resumed, session: next };
  } catch (error) {
    throw new Error(`no ticket within ${TICKET_MS} ms`, { cause: error });
  } finally {
    socket.destroy();
  }
}

async function whereResumed(lane, scene) {
  const resumes = async (at, { session }) => ((await shake(at, session)).resumed ? 'yes' : 'no');
  const contestant = [bareNginx, sealgateSession].find(({ id }) => id === lane.id);
  const same = await resumes(lane, await shake(lane));
  const before = await shake(lane);
  for (let nth = 0; nth < OTHERS; nth += 1) await shake(lane);
  const later = await resumes(lane, before);
  const other = await openLane(contestant, {
    ...scene, more: { tls: lane.tls, keys: `${lane.dir}/keys` }, place: `handshakes-${lane.id}-other`,
  });
  const elsewhere = await resumes(other, await shake(lane));
  await other.stop();
  await lane.stop();
  return [lane.name, same, later, elsewhere];
}
