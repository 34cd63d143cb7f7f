// The provider that everybody signs in with, minting tokens as long as real ones.
import { noise, filled, TOKEN_SETS } from '../../../node/lib/tokens.mjs';
import { startOp } from '../../../node/lib/op.mjs';

/** So long that nobody has to refresh within a run. */
const ACCESS_TOKEN_SECONDS = 8 * 3600;

/** What of an Entra ID access token is not the provider's own; `tests/bench/token_sets.rs` has the whole. */
const ENTRA_ACCESS = () => ({
  acct: 0,
  aio: noise(98),
  amr: ['pwd', 'mfa'],
  app_displayname: 'Wingtip Storefront',
  email: 'ada@example.org',
  family_name: 'Lovelace',
  given_name: 'Ada',
  groups: Array.from({ length: 5 }, () => crypto.randomUUID()),
  idtyp: 'user',
  ipaddr: '198.51.100.23',
  name: 'Ada Lovelace',
  oid: crypto.randomUUID(),
  preferred_username: 'ada@example.org',
  rh: `1.${noise(56)}.`,
  roles: ['Catalogue.Curate', 'Refunds.Approve'],
  tid: crypto.randomUUID(),
  uti: noise(22),
  ver: '2.0',
  wids: Array.from({ length: 2 }, () => crypto.randomUUID()),
});
const OWN_REFRESH = 43;
const ENTRA_REFRESH = 1179;
const ENTRA = {
  name: 'entra', access: 2364, id: 1387, refresh: ENTRA_REFRESH, extra: ENTRA_ACCESS,
  dress: (token) => `1.${noise(ENTRA_REFRESH - OWN_REFRESH - 3)}.${token}`,
  undress: (token) => token.slice(-OWN_REFRESH),
};

// At each start it says that it is not meant for production: a dozen times in a run.
for (const level of ['info', 'warn']) {
  const say = console[level];
  console[level] = (text, ...more) => (/^oidc-provider (NOTICE|WARNING):/.test(text) ? undefined : say(text, ...more));
}

const SETS = new Map([...TOKEN_SETS, ENTRA].map((set) => [set.name, set]));

/**
 * Starts a provider for one application. It binds tokens to a key if `isBound`.
 *
 * `signIn()`, given a function that signs in once with a new browser, does so twice: how much is missing is only known
 * once a token has been seen. It gives what that function gave the second time.
 */
export async function startProvider({ origin, tokens, isBound = false }) {
  const set = SETS.get(tokens);
  const op = await startOp({
    origin,
    accessTokens: 'jwt',
    accessTokenSeconds: ACCESS_TOKEN_SECONDS,
    dpop: isBound,
    ...(set.dress ? { refreshTokens: set } : {}),
  });
  return Object.assign(op, {
    async signIn(once) {
      const extra = set.extra();
      op.extraClaims = () => extra;
      await once();
      const bare = op.newest();
      const access = filled(extra, bare.access_token.length, set.access);
      const id = filled({}, bare.id_token.length, set.id);
      op.extraClaims = () => access;
      op.idClaims = () => id;
      const signedIn = await once();
      for (const [token, wanted] of [['access_token', set.access], ['id_token', set.id], ['refresh_token', set.refresh]]) {
        const { length } = op.newest()[token];
        if (Math.abs(length - wanted) > 5) throw new Error(`the ${token} has ${length} characters, not ${wanted}`);
      }
      return signedIn;
    },
  });
}
