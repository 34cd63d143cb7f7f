// The report of a comparison: where sealgate is slower than nginx, then figures, each as ratio to bare nginx and to sealgate.
import { Cell, METRICS as ALL, worseThanNginx } from './cells.mjs';
import { CONNECTIONS } from './load.mjs';
import { figure, median, ratio, table } from './table.mjs';
import { SIZES } from './upstream.mjs';

const METRICS = ['rps', 'micros', 'p50', 'p99'];

/** Everything as Markdown. */
export function report({ machine, entries, rounds, seconds }) {
  for (const entry of entries) summarize(entry);
  const base = (id) => entries.find((entry) => entry.id === id && !entry.absent);
  const bases = { nginx: base('nginx'), sealgate: base('session') };
  return [
    '# Sealgate and its peers',
    machine,
    `${CONNECTIONS} connections with keep-alive, one worker each; medians of ${rounds} interleaved rounds of ${seconds} s. Ratios: × n to bare nginx, × s to sealgate with a session (plain tokens).`,
    `## Slower than nginx, with a session\n\n${slower(entries, bases)}`,
    ...SIZES.map(({ name }) => `## Answers of ${name}\n\n${speeds(entries, name, bases)}`),
    `## Memory and cookies\n\n${footprint(entries, bases)}`,
    ...SIZES.map(({ name }) => `## In short, ${name}\n\n${summary(entries, bases, name)}`),
    `## Who took part\n\n${entries.map(versionLine).join('\n')}`,
  ].join('\n\n');
}

function summarize(entry) {
  entry.medians = new Map([...entry.results].filter(([, each]) => each.length).map(([size, each]) => [size, {
    ...Object.fromEntries([...METRICS, 'busy'].map((metric) => [metric, median(each.map((result) => result[metric]))])),
    least: Math.min(...each.map(({ micros }) => micros)),
    most: Math.max(...each.map(({ micros }) => micros)),
  }]));
  entry.rssLoaded = Math.max(...[...entry.results.values()].flat().map(({ rss }) => rss));
}

function speeds(entries, size, { nginx, sealgate }) {
  const head = [
    'proxy', 'req/s', '× n', '× s', 'CPU µs/req', 'min–max', '× n', '× s', 'p50 ms', '× n', '× s', 'p99 ms', '× n', '× s', 'core used',
  ];
  return table(head, entries.map(({ name, absent, medians }) => {
    if (absent) return [name, absent];
    const own = medians.get(size);
    const both = (metric) => [nginx, sealgate].map((base) => ratio(own[metric], base?.medians.get(size)[metric]));
    return [
      name, figure(own.rps), ...both('rps'), figure(own.micros), `${figure(own.least)}–${figure(own.most)}`, ...both('micros'),
      figure(own.p50), ...both('p50'), figure(own.p99), ...both('p99'), `${(own.busy * 100).toFixed(0)} %`,
    ];
  }));
}

function footprint(entries, { nginx, sealgate }) {
  const head = ['proxy', 'RSS idle MiB', '× n', '× s', 'RSS loaded MiB', '× n', '× s', 'Cookie bytes', '× s', 'remarks'];
  return table(head, entries.map(({ name, absent, lane, rssLoaded }) => {
    if (absent) return [name, absent];
    return [
      name, figure(lane.rssIdle), ratio(lane.rssIdle, nginx?.lane.rssIdle), ratio(lane.rssIdle, sealgate?.lane.rssIdle),
      figure(rssLoaded), ratio(rssLoaded, nginx?.rssLoaded), ratio(rssLoaded, sealgate?.rssLoaded),
      String(lane.cookieBytes), ratio(lane.cookieBytes, sealgate?.lane.cookieBytes), [...lane.remarks].join('; '),
    ];
  }));
}

/** What a user would feel comes before any figure that looks better. */
function slower(entries, { nginx, sealgate }) {
  if (!nginx || !sealgate) return 'nothing to compare';
  const cells = SIZES.map(({ name }) => {
    const cell = new Cell({ part: 'answers', over: 'HTTP', what: name, connections: CONNECTIONS });
    for (const entry of [nginx, sealgate]) for (const result of entry.results.get(name)) cell.add(entry, result);
    return cell;
  });
  return worseThanNginx(cells, 'session', ALL.filter(({ felt }) => felt));
}

/** The sentences that the figures are for. */
function summary(entries, { nginx, sealgate }, size) {
  const own = (id) => entries.find((entry) => entry.id === id && !entry.absent)?.medians.get(size);
  const [bare, cookie, hyper, none, session] = ['nginx', 'nginx-cookie', 'hyper', 'none', 'session'].map(own);
  const peers = entries.filter(({ id, absent }) => ['envoy', 'mod_auth_openidc', 'oauth2-proxy', 'express'].includes(id) && !absent);
  const beside = (base) => [['rate', 'rps'], ['p50', 'p50'], ['p99', 'p99'], ['CPU time', 'micros']]
    .map(([name, metric]) => `${name} ${ratio(session[metric], base[metric])} ×`).join(', ');
  const lines = [
    session && bare && `- sealgate with a session beside bare nginx: ${beside(bare)}`,
    session && hyper && `- beside a bare hyper proxy: ${beside(hyper)}`,
    session && none && `- a session costs ${figure(session.micros - none.micros)} µs more than \`token = none\` (for a finer figure: \`run session-cost\`)`,
    bare && cookie && `- forwarding a 4.3 KB cookie costs nginx ${figure(cookie.micros - bare.micros)} µs`,
    ...peers.filter(() => sealgate).map((peer) => {
      const theirs = peer.medians.get(size);
      return `- beside ${peer.name}: ${beside(theirs)}; requests per CPU second ${ratio(theirs.micros, session.micros)} ×`;
    }),
  ];
  return lines.filter(Boolean).join('\n') || 'nothing to compare';
}

const versionLine = ({ name, absent, lane }) => `- ${name}: ${lane?.version ?? ''}${lane && absent ? '; ' : ''}${absent ?? ''}`;
