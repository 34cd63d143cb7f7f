// Figures as people read them: medians, ratios, and tables that are Markdown and stand in columns.

export const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** The least value that so large a share of all does not exceed. */
export const percentile = (values, share) => values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)];

/** Three significant digits; whole numbers from a hundred on. */
export const figure = (value) => {
  if (value === undefined || Number.isNaN(value)) return '–';
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
};

/** `value / base`, where there are both. */
export const ratio = (value, base) => (base > 0 && value > 0 ? figure(value / base) : '–');

/** The first `texts` columns are text, the others are numbers; a row of two cells spans the rest with its second. */
export function table(head, rows, { texts = 1 } = {}) {
  const width = head.map((cell, at) => Math.max(cell.length, ...rows.map((row) => (
    at > 0 && row.length === 2 && head.length > 2 ? 0 : row[at]?.length ?? 0))));
  const pad = (cell, at) => (at < texts ? cell.padEnd(width[at]) : cell.padStart(width[at]));
  const line = (row) => (row.length === 2 && head.length > 2
    ? `| ${row[0].padEnd(width[0])} | ${row[1]} |`
    : `| ${head.map((_, at) => pad(row[at] ?? '', at)).join(' | ')} |`);
  const rule = `|${width.map((each, at) => (at < texts ? '-'.repeat(each + 2) : `${'-'.repeat(each + 1)}:`)).join('|')}|`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}
