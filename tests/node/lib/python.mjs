// A Python program of a story, with its packages in a directory of their own.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { fetched, run } from './fetched.mjs';
import { program } from './programs.mjs';
import { started } from './started.mjs';

/** Starts `story.py` of a directory with the packages of its `requirements.txt`. It is told its options as JSON. */
export async function startPython(t, { name, home, options, cwd, ready }) {
  const packages = await pythonPackages(name, await readFile(join(home, 'requirements.txt'), 'utf8'));
  return started(t, {
    path: program('python'),
    args: [join(home, 'story.py'), JSON.stringify(options)],
    cwd,
    env: { PYTHONPATH: packages, PYTHONDONTWRITEBYTECODE: '1' },
    ready,
  });
}

/** The directory of the packages that `requirements` pins, for `PYTHONPATH`. */
async function pythonPackages(name, requirements) {
  const python = program('python');
  // Compiled packages are for one version.
  const version = await run(python, ['-c', 'import sys; print(sys.version)']);
  return fetched(`python-${name}`, version + requirements, (dir) => run(python, [
    '-m', 'pip', 'install', '--quiet', '--no-deps', '--target', dir, ...requirements.split('\n').filter(Boolean),
  ]));
}
