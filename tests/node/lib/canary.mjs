// Nothing that the provider minted may reach a browser or a log: searches for it, also where it is dressed up.

/** The forms in which a secret is looked for: as it is, without the JWT's public parts, escaped, in base64, in hex. */
function forms({ what, value }) {
  const parts = value.split('.');
  const bare = parts.length === 3 ? [{ what: `payload of ${what}`, value: parts[1] }, { what: `signature of ${what}`, value: parts[2] }] : [];
  return [{ what, value }, ...bare].flatMap((one) => [
    one,
    { what: `${one.what}, percent-encoded`, value: encodeURIComponent(one.value) },
    { what: `${one.what}, in hex`, value: Buffer.from(one.value).toString('hex') },
    ...aligned(one),
  ]);
}

/** Base64 of a text that stands somewhere in a longer one: three alignments, ends cut off that depend on neighbours. */
function* aligned({ what, value }) {
  for (const shift of [0, 1, 2]) {
    const encoded = Buffer.concat([Buffer.alloc(shift), Buffer.from(value)]).toString('base64').replace(/=+$/, '');
    const inner = encoded.slice(4, -4);
    yield { what: `${what}, in base64`, value: inner };
    yield { what: `${what}, in base64url`, value: inner.replaceAll('+', '-').replaceAll('/', '_') };
  }
}

/**
 * Which secrets stand in which texts.
 *
 * @param {Array<{where: string, text: string}>} texts
 * @param {Array<{what: string, value: string}>} secrets
 * @returns {string[]} sentences
 */
export function leaks(texts, secrets) {
  // A refresh answer may repeat a token, and escaping may change nothing: each string is looked for once.
  const needles = [...new Map(secrets.flatMap(forms).reverse().map((form) => [form.value, form])).values()].reverse();
  return texts.flatMap(({ where, text }) => needles
    .filter(({ value }) => text.includes(value))
    .map(({ what, value }) => `${what} is in ${where} (at byte ${text.indexOf(value)} of ${text.length})`));
}

/**
 * Everything a browser received from one origin.
 *
 * One place may hold an ID token: the redirect to the provider's `end_session_endpoint` carries `id_token_hint`
 * (OpenID Connect RP-Initiated Logout §2). That one parameter of that one header is blanked, nothing else.
 */
export function received(answers, origin, endSession) {
  return answers.filter((answer) => new URL(answer.url).origin === origin).flatMap((answer) => {
    const where = `${answer.method} ${new URL(answer.url).pathname} → ${answer.status}`;
    const headers = [];
    for (let i = 0; i < answer.rawHeaders.length; i += 2) {
      const [name, value] = answer.rawHeaders.slice(i, i + 2);
      const isHint = name.toLowerCase() === 'location' && value.startsWith(`${endSession}?`)
        && new URL(answer.url).pathname === '/bff/logout';
      headers.push(`${name}: ${isHint ? value.replace(/([?&]id_token_hint=)[^&]*/, '$1') : value}`);
    }
    return [
      { where: `the head of ${where}`, text: [answer.reason, ...answer.early, ...headers].join('\n') },
      { where: `the body of ${where}`, text: answer.body },
    ];
  });
}

/** A log, line by line, so that a report can name the line. */
export const logLines = (output) => output.split('\n')
  .map((text, i) => ({ where: `log line ${i + 1} (${text.slice(0, 100).replace(/[^\x20-\x7e]/g, '.')})`, text }));
