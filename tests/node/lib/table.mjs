// Rows of figures as lines of text, one under the other.

/** `rows` have the same keys; these are the headings. */
export function table(rows) {
  const headings = Object.keys(rows[0]);
  const lines = [headings, ...rows.map((row) => headings.map((heading) => String(row[heading])))];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  return lines.map((line) => line.map((cell, column) => (
    column ? cell.padStart(widths[column]) : cell.padEnd(widths[column]))).join('  '));
}
