// What can be asked of a run.
import { parseArgs } from 'node:util';

/** Reads the command line; `defaults` names the options there are, and their kinds by their values. */
export function options(defaults, usage) {
  const kinds = Object.fromEntries(Object.entries(defaults).map(([name, value]) => (
    [name, { type: typeof value === 'boolean' ? 'boolean' : 'string' }])));
  let given;
  try {
    given = parseArgs({ options: { help: { type: 'boolean' }, ...kinds } }).values;
    for (const [name, value] of Object.entries(defaults)) {
      if (typeof value !== 'number' || given[name] === undefined) continue;
      given[name] = Number(given[name]);
      if (!(given[name] > 0)) throw new Error(`--${name} takes a number above 0`);
    }
  } catch (error) {
    console.error(`${error.message}\n\n${usage}`);
    process.exit(64);
  }
  if (given.help) {
    console.log(usage);
    process.exit(0);
  }
  return { ...defaults, ...given };
}
