// The report of a comparison: figures, each as ratio to bare nginx and to sealgate, and what a session costs.
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
    ...SIZES.map(({ name }) => `## Answers of ${name}\n\n${speeds(entries, name, bases)}`),
    `## Memory and cookies\n\n${footprint(entries, bases)}`,
    `## In short (1 KiB)\n\n${summary(entries, bases)}`,
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

/** The sentences that the figures are for. */
function summary(entries, { nginx, sealgate }) {
  const own = (id) => entries.find((entry) => entry.id === id && !entry.absent)?.medians.get(SIZES[0].name);
  const [bare, cookie, hyper, none, session] = ['nginx', 'nginx-cookie', 'hyper', 'none', 'session'].map(own);
  const peers = entries.filter(({ id, absent }) => ['envoy', 'mod_auth_openidc', 'oauth2-proxy', 'express'].includes(id) && !absent);
  const lines = [
    session && none && `- a session costs ${figure(session.micros - none.micros)} µs more than \`token = none\` (for a finer figure: \`run session-cost\`)`,
    bare && cookie && `- forwarding a 4.3 KB cookie costs nginx ${figure(cookie.micros - bare.micros)} µs`,
    session && nginx && `- sealgate with a session is at ${ratio(session.micros, bare.micros)} × the CPU time of bare nginx${
      hyper ? `, ${ratio(session.micros, hyper.micros)} × that of a bare hyper proxy` : ''}`,
    ...peers.filter(() => sealgate).map((peer) => {
      const theirs = peer.medians.get(SIZES[0].name);
      return `- requests per CPU second: ${ratio(theirs.micros, session.micros)} × ${peer.name}; p99 ${figure(session.p99)} ms against ${figure(theirs.p99)} ms`;
    }),
  ];
  return lines.filter(Boolean).join('\n') || 'nothing to compare';
}

const versionLine = ({ name, absent, lane }) => `- ${name}: ${lane?.version ?? ''}${lane && absent ? '; ' : ''}${absent ?? ''}`;
