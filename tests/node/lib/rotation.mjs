// What providers do with a refresh token that comes a second time: the ways that are in use, on one and the same provider.
//
// `oidc-provider` knows two: no rotation, and rotation that revokes everything when a spent token comes again. The
// others are decided in its own hook, `rotateRefreshToken`, at the moment at which it would spend the token. Between that
// decision and its note nothing else runs, so of parallel requests one is the first: no provider is more exact.
import { errors } from 'oidc-provider';
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js';
import revoke from 'oidc-provider/lib/helpers/revoke.js';

/**
 * Each policy is a name and either `rotates`, which is left to the provider, or `accepts`: whether a token is exchanged.
 * If it is not, `revokes` says whether its whole family dies too.
 *
 * A policy that counts seconds may be given a clock. `accepts` is given the token, `{ id, generation, uses, firstUsedAt }`, and what its family has seen: the newest
 * generation that was used, and which token of it came first.
 */
export const POLICIES = {
  /** Entra ID, Keycloak, Cognito and Auth0 as they come, Okta's `static`, FAPI 2.0: the token stays good. */
  reuse: { name: 'reuse', rotates: false },
  /** A spent token is refused, and that is all. */
  strict: { name: 'strict', accepts: ({ uses }) => uses === 0, revokes: false },
  /** RFC 9700 §4.14.2: whoever presents a spent token may be a thief, so the session ends. */
  family: { name: 'family revoke', rotates: true },
  /** Auth0, Okta, Cognito, Hydra: good for some seconds more, unless a token that came of it has been used already. */
  leeway: (seconds, now = Date.now) => ({
    name: `leeway ${seconds} s`,
    now,
    accepts: ({ generation, uses, firstUsedAt }, { newest }) => (
      uses === 0 || (generation === newest && now() - firstUsedAt <= seconds * 1000)),
    revokes: true,
  }),
  /** Keycloak with "Revoke Refresh Token" and `refreshTokenMaxReuse`: each may be used so often again, until a newer one is. */
  count: (reuses) => ({
    name: `count ${reuses}`,
    accepts: ({ id, generation, uses }, { newest, first }) => (generation > newest || id === first) && uses <= reuses,
    revokes: true,
  }),
};

/** Decides for one provider; `policyOf` names the policy for a login. */
export class Rotation {
  #policyOf;
  #families = new Map();

  constructor(policyOf) {
    this.#policyOf = policyOf;
  }

  /** The provider's `rotateRefreshToken`. */
  decide = async (ctx) => {
    const token = ctx.oidc.entities.RefreshToken;
    const policy = this.#policyOf(token.accountId);
    if (!policy.accepts) return policy.rotates;
    if (this.#use(token, policy)) return true;
    if (policy.revokes) await revoke(ctx, token.grantId);
    throw new errors.InvalidGrant('refresh token already used');
  };

  /** The provider's `adapter`. Its own forgets after 1,000 entries, and would spend tokens by a rule of its own. */
  adapter() {
    const store = new Map();
    const isDecidedHere = (login) => Boolean(this.#policyOf(login).accepts);
    return class Adapter extends MemoryAdapter {
      constructor(model) {
        super(model, store);
      }

      async consume(id) {
        if (this.model !== 'RefreshToken' || !isDecidedHere((await this.find(id)).accountId)) await super.consume(id);
      }
    };
  }

  /** Whether the token is exchanged; if so, that is written down. */
  #use({ jti: id, grantId, iiat, rotations: generation = 0 }, policy) {
    // Two sign-ins of one person may share a grant, not what came of them.
    const key = `${grantId} ${iiat}`;
    const family = this.#families.get(key) ?? { newest: -1, first: undefined, used: new Map() };
    this.#families.set(key, family);
    const { uses, firstUsedAt } = family.used.get(id) ?? { uses: 0, firstUsedAt: (policy.now ?? Date.now)() };
    if (!policy.accepts({ id, generation, uses, firstUsedAt }, family)) return false;
    family.used.set(id, { uses: uses + 1, firstUsedAt });
    if (generation > family.newest) Object.assign(family, { newest: generation, first: id });
    return true;
  }
}
