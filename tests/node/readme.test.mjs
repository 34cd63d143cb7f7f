// The code that the documents give to frontends: that of src/proxy/README.md is run as it stands there, the rest is parsed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const DOCUMENT = readFileSync(new URL('../../src/proxy/README.md', import.meta.url), 'utf8');
const samples = [...DOCUMENT.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code);

/** The sample's `api`, on a page at `href`, with these answers to its calls. */
async function sample(href, answers) {
  const code = samples.find((text) => text.includes('export async function api('));
  assert.ok(code, 'the document has the sample');
  const page = new URL(href);
  const calls = [];
  const visited = [];
  globalThis.location = {
    origin: page.origin, pathname: page.pathname, search: page.search, hash: page.hash,
    assign: (to) => visited.push(new URL(to, page)),
  };
  globalThis.fetch = async (path, options) => {
    calls.push({ path, method: options.method ?? 'GET', headers: Object.fromEntries(new Headers(options.headers)), body: options.body });
    return answers.shift();
  };
  // A module is run once for each address.
  const { api } = await import(`data:text/javascript,${encodeURIComponent(code)}#${Math.random()}`);
  return { api, calls, visited };
}

const problem = (body, status = 401) => new Response(JSON.stringify(body), {
  status, headers: { 'content-type': 'application/problem+json' },
});

// P12, oauth2-proxy#1570: query and fragment were thrown away, and a step-up's address got a second `?`.
test('api() signs in where it has to, and comes back to the very page', async () => {
  for (const [loginUrl, more] of [
    ['/bff/login', {}],
    ['/bff/login?acr_values=urn%3Ax%20urn%3Ay&max_age=300', { acr_values: 'urn:x urn:y', max_age: '300' }],
  ]) {
    for (const path of ['/', '/orders/7', '/orders?page=2&q=gr%C3%BCn%20%26%20blau', '/orders?x=1#part', '/#part']) {
      const { api, visited } = await sample(`https://shop.example.com${path}`, [problem({ code: 'login-required', login_url: loginUrl })]);
      const answer = await api('/api/orders');
      assert.equal(answer.status, 401);
      assert.equal(visited.length, 1, loginUrl);
      const [login] = visited;
      assert.equal(login.origin + login.pathname, 'https://shop.example.com/bff/login');
      assert.deepEqual(Object.fromEntries(login.searchParams), { ...more, returnUrl: path });
    }
  }
});

test('api() sends the header whatever form the others have, and what it was given', async () => {
  for (const headers of [undefined, { accept: 'text/csv' }, new Headers({ accept: 'text/csv' }), [['accept', 'text/csv']]]) {
    const { api, calls, visited } = await sample('https://shop.example.com/', [new Response('1', { status: 200 })]);
    const answer = await api('/api/orders', { method: 'POST', body: '{}', headers });
    assert.equal(await answer.text(), '1');
    const [call] = calls;
    assert.equal(call.headers['x-csrf'], '1');
    assert.equal(call.headers.accept, headers && 'text/csv');
    assert.deepEqual([call.path, call.method, call.body], ['/api/orders', 'POST', '{}']);
    assert.deepEqual(visited, []);
  }
});

test('api() repeats once after a conflict, and leaves other refusals to the page', async () => {
  const conflict = () => problem({ code: 'session-refresh-conflict' });
  const first = await sample('https://shop.example.com/', [conflict(), new Response('1')]);
  assert.equal((await first.api('/api/x')).status, 200);
  assert.equal(first.calls.length, 2);
  const second = await sample('https://shop.example.com/', [conflict(), conflict()]);
  assert.equal((await second.api('/api/x')).status, 401);
  assert.equal(second.calls.length, 2);
  const forbidden = await sample('https://shop.example.com/', [problem({ code: 'forbidden' }, 403)]);
  assert.equal((await forbidden.api('/api/x')).status, 403);
  assert.deepEqual(forbidden.visited, []);
});

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
// Not by git, which a checkout from an archive does not have.
const OTHERS = /(^|\/)(node_modules|target|\.peers|\.git)\//;
const DOCUMENTS = readdirSync(ROOT, { recursive: true }).filter((path) => path.endsWith('.md') && !OTHERS.test(path));
const blocks = (language) => DOCUMENTS.flatMap((document) => {
  const text = readFileSync(`${ROOT}/${document}`, 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(([, code]) => ({ document, code }));
});

test('every sample of JavaScript and JSON in a document can be parsed', () => {
  const all = [...blocks('js'), ...blocks('json')];
  assert.ok(all.length >= 8, `${all.length} samples`);
  for (const { document, code } of blocks('js')) {
    assert.doesNotThrow(() => execFileSync(process.execPath, ['--check', '--input-type=module', '-'], { input: code, stdio: 'pipe' }), document);
  }
  for (const { document, code } of blocks('json')) assert.doesNotThrow(() => JSON.parse(code), document);
});

test('the command for a client key makes one that sealgate reads', async (t) => {
  const [command] = blocks('sh').map(({ code }) => code.trim()).filter((code) => code.startsWith('openssl genpkey '));
  const dir = await mkdtemp(join(tmpdir(), 'sealgate-key-'));
  t.after(() => rm(dir, { recursive: true }));
  execFileSync('sh', ['-ec', command], { cwd: dir, stdio: 'pipe' });
  const pem = readFileSync(join(dir, 'client.pem'), 'utf8');
  assert.match(pem, /^-----BEGIN PRIVATE KEY-----\n/, 'PKCS #8');
  assert.equal(createPrivateKey(pem).asymmetricKeyDetails.namedCurve, 'prime256v1');
});
