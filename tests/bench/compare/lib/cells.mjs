// What was measured of every proxy under the same conditions, and how each figure stands to bare nginx's.
import { figure, median, ratio, table } from './table.mjs';

/** Ratios are to this one. */
const BASE = 'nginx';
/** What is within this of nginx's figure is not told from it. */
const NOISE = 1.05;

/** What may be measured; `more`: whether more is better. The first three are what a user feels. */
export const METRICS = [
  { key: 'rps', head: 'per s', more: true, felt: true },
  { key: 'p50', head: 'p50 ms', felt: true },
  { key: 'p99', head: 'p99 ms', felt: true },
  { key: 'micros', head: 'CPU µs each' },
  { key: 'rss', head: 'peak RSS MiB' },
  { key: 'each', head: 'KiB a connection' },
];

/** One set of conditions: `part` and `over` say what and over what, `what` and `connections` the rest. */
export class Cell {
  #results = new Map();

  constructor({ part, over, what, connections }) {
    Object.assign(this, { part, over, what, connections });
  }

  add({ id, name }, result) {
    if (!this.#results.has(id)) this.#results.set(id, { name, all: [] });
    this.#results.get(id).all.push(result);
  }

  get ids() {
    return [...this.#results.keys()];
  }

  name(id) {
    return this.#results.get(id).name;
  }

  /** The median of all rounds; of memory the first round's, as a process may keep what a later one needed. */
  of(id, key) {
    const values = this.#results.get(id)?.all.map((result) => result[key]).filter((value) => value !== undefined) ?? [];
    if (!values.length) return undefined;
    return key === 'rss' ? values[0] : median(values);
  }

  /** How much worse than nginx, whichever way is worse: 2 is half the rate, or twice the time. */
  worse(id, { key, more }) {
    const [own, base] = [this.of(id, key), this.of(BASE, key)];
    return more ? base / own : own / base;
  }

  get label() {
    return [this.what, this.connections && `${this.connections} connection${this.connections > 1 ? 's' : ''}`].filter(Boolean).join(', ');
  }

  toJSON() {
    return { part: this.part, over: this.over, what: this.what, connections: this.connections, results: Object.fromEntries(this.#results) };
  }
}

/** All figures of some cells, each with its ratio to nginx's. */
export function figures(cells) {
  const metrics = METRICS.filter(({ key }) => cells.some((cell) => cell.ids.some((id) => cell.of(id, key) !== undefined)));
  const busy = cells.some((cell) => cell.of(BASE, 'busy') !== undefined);
  const head = ['', 'proxy', ...metrics.flatMap((metric) => [metric.head, '× n']), ...(busy ? ['core used'] : [])];
  const rows = cells.flatMap((cell) => cell.ids.map((id, at) => [
    at ? '' : cell.label,
    cell.name(id),
    ...metrics.flatMap(({ key }) => [figure(cell.of(id, key)), id === BASE ? '' : ratio(cell.of(id, key), cell.of(BASE, key))]),
    ...(busy ? [`${(cell.of(id, 'busy') * 100).toFixed(0)} %`] : []),
  ]));
  return table(head, rows, { texts: 2 });
}

/** One line for each set of conditions: how one proxy stands to nginx, transports side by side. */
export function inShort(cells, id) {
  const metrics = METRICS.filter(({ key }) => cells.some((cell) => cell.of(id, key) !== undefined));
  const transports = [...new Set(cells.map(({ over }) => over))];
  const rows = new Map(cells.map((cell) => [`${cell.part}: ${cell.label}`, []]));
  for (const cell of cells) rows.get(`${cell.part}: ${cell.label}`)[transports.indexOf(cell.over)] = cell;
  const columns = transports.flatMap((over, at) => metrics.map((metric) => ({ over, at, metric })));
  return table(['', ...columns.map(({ over, metric }) => `${over} ${metric.head}`)], [...rows].map(([label, beside]) => [
    label, ...columns.map(({ at, metric: { key } }) => (beside[at] ? `${figure(beside[at].of(id, key))} (${
      ratio(beside[at].of(id, key), beside[at].of(BASE, key))})` : '')),
  ]));
}

/** Where one proxy is worse than nginx in some metrics, the worst first. */
export function worseThanNginx(cells, id, metrics) {
  const found = cells.flatMap((cell) => metrics.map((metric) => ({ cell, metric, times: cell.worse(id, metric) })))
    .filter(({ times }) => times > NOISE)
    .sort((a, b) => b.times - a.times);
  if (!found.length) return 'Nothing.';
  return table(['what', 'over', 'figure', 'sealgate', 'nginx', 'times worse'], found.map(({ cell, metric, times }) => [
    `${cell.part}: ${cell.label}`, cell.over, metric.head, figure(cell.of(id, metric.key)), figure(cell.of(BASE, metric.key)), figure(times),
  ]), { texts: 3 });
}
