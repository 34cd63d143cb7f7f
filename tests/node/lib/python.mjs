// Python packages for a program of a story, in a directory of their own.
import { fetched, run } from './fetched.mjs';
import { program } from './programs.mjs';

/** The directory of the packages that `requirements` pins, for `PYTHONPATH`. */
export async function pythonPackages(name, requirements) {
  const python = program('python');
  // Compiled packages are for one version.
  const version = await run(python, ['-c', 'import sys; print(sys.version)']);
  return fetched(`python-${name}`, version + requirements, (dir) => run(python, [
    '-m', 'pip', 'install', '--quiet', '--no-deps', '--target', dir, ...requirements.split('\n').filter(Boolean),
  ]));
}
