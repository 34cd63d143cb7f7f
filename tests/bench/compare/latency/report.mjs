// The report: whatever is slower than nginx first, then the aims, then all figures (T2: a rate that was 0.27 × nginx's went unsaid).
import { METRICS, figures, inShort, worseThanNginx } from '../lib/cells.mjs';
import { figure, table } from '../lib/table.mjs';

const OWN = 'session';
const [RATE, P50, P99] = METRICS;
const TITLES = {
  answers: 'Answers', beside: 'Small and large answers at the same time', uploads: 'Uploads', 'HTTP/2': 'Answers over HTTP/2', events: 'Server-sent events: age on arrival', WebSocket: 'WebSocket: round trip of a message',
  handshakes: 'TLS handshakes', idle: 'Memory of idle connections',
};

/** What is promised: of which cells, in which metric, how many times worse than nginx at most. */
const AIMS = [
  { says: 'p50 at one connection at most 1.3 × nginx', metric: P50, most: 1.3, of: ({ part, connections }) => part === 'answers' && connections === 1 },
  { says: 'rate at 32 connections at least that of nginx, 1 KiB', metric: RATE, most: 1, of: at32('1 KiB') },
  { says: 'rate at 32 connections at least 1.4 × nginx, 100 KiB and 1 MiB', metric: RATE, most: 1 / 1.4, of: at32('100 KiB', '1 MiB') },
  { says: 'p99 at most 1.5 × nginx', metric: P99, most: 1.5, of: ({ part }) => part === 'answers' },
];

/** Everything as Markdown. `parts`: what each part gave, by its name. */
export function report({ machine, versions, plan, parts }) {
  const cells = [...parts.values()].flatMap((part) => part.cells);
  const felt = METRICS.filter((metric) => metric.felt);
  return [
    '# Latency beside bare nginx',
    machine,
    `${versions.join(', ')}; one worker each, pinned to one core; medians of ${plan.rounds} interleaved rounds of ${plan.seconds} s. × n: ratio to bare nginx; of rates more is better, of all others less.`,
    `## Slower than nginx, with a session\n\n${worseThanNginx(cells, OWN, felt)}`,
    `## Costs more than nginx, with a session\n\n${worseThanNginx(cells, OWN, METRICS.filter((metric) => !metric.felt))}`,
    `## Aims\n\n${aims(cells)}`,
    `## In short\n\nSealgate with a session, and in brackets its ratio to bare nginx.\n\n${
      [...parts.values()].filter((part) => part.cells.length).map((part) => inShort(part.cells, OWN)).join('\n\n')}`,
    ...[...parts].map(([name, part]) => [`## ${TITLES[name]}`, ...sections(part)].join('\n\n')),
  ].join('\n\n');
}

function sections({ cells, tables = [], remarks = [] }) {
  const transports = [...new Set(cells.map(({ over }) => over))];
  return [
    ...transports.map((over) => `### Over ${over}\n\n${figures(cells.filter((cell) => cell.over === over))}`),
    ...tables,
    ...(remarks.length ? [remarks.map((remark) => `- ${remark}`).join('\n')] : []),
  ];
}

function aims(cells) {
  return table(['aim', 'reached', 'worst', 'where'], AIMS.map(({ says, metric, most, of }) => {
    const [worst] = cells.filter(of).map((cell) => ({ cell, times: cell.worse(OWN, metric) })).sort((a, b) => b.times - a.times);
    if (!worst) return [says, 'not measured', '', ''];
    const shown = metric.more ? 1 / worst.times : worst.times;
    return [says, worst.times <= most ? 'yes' : '**no**', `${figure(shown)} ×`, `${worst.cell.label}, ${worst.cell.over}`];
  }), { texts: 4 });
}

function at32(...sizes) {
  return ({ part, what, connections }) => part === 'answers' && connections === 32 && sizes.includes(what);
}
