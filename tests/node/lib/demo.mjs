// `sealgate --demo`, as somebody starts it to look at it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { binary, scratch, sweep, tail } from './sealgate.mjs';
import { eventually } from './waiting.mjs';

/** Starts the demo and ends it with the test `t`; gives its URL and what it has written so far. */
export async function startDemo(t) {
  const dir = await scratch();
  const child = spawn(binary(), ['--demo'], { env: { PATH: process.env.PATH, HOME: dir, TMPDIR: dir }, stdio: ['ignore', 'pipe', 'pipe'] });
  const demo = { output: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => { demo.output += text; });
  }
  const gone = once(child, 'close');
  t.after(async () => {
    child.kill('SIGINT');
    const [code] = await gone;
    await sweep(dir);
    assert.equal(code, 0, tail(demo.output));
    assert.doesNotMatch(demo.output, /panicked at/);
  });
  // Its address and its log come by different pipes.
  [demo.url] = await eventually('the demo serves', () => (
    /sealgate::app: serving/.test(demo.output) && demo.output.match(/http:\/\/localhost:\d+\//)), () => tail(demo.output));
  return demo;
}
