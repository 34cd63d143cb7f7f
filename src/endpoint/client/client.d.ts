/** A claim of the user, as Duende BFF writes it. */
export interface Claim {
  type: string;
  value: string | number;
}

/** What `<base path>/session` answers. Times are in seconds since 1970. */
export type Session =
  | { active: false }
  | {
      active: true;
      server_now: number;
      session_ends_at: number;
      idle_ends_at: number;
      access_token_expires_at: number;
      refresh_possible: boolean;
      claims: Record<string, unknown>;
    };

/** A refusal (RFC 9457). `code` says which. */
export interface Problem extends Error {
  status: number;
  code?: string;
  detail?: string;
  instance?: string;
  login_url?: string;
}

/** What becomes of the session. `endsAt` is in seconds since 1970, or null where it is not known. */
export interface SessionEnd {
  reason: 'ending' | 'ended' | 'replaced';
  endsAt: number | null;
}

/** Events about the session: `refreshed`, `ending`, `ended`, `replaced`; `detail` is `{ at, endsAt }`. */
export interface SessionEvents extends EventTarget {
  close(): void;
}

/** The user's claims; null if nobody is signed in. */
export function user(): Promise<Claim[] | null>;
/** The session's times, without counting as activity. */
export function session(): Promise<Session>;
/** Leaves for the login, and comes back to `returnUrl`: a path of the app, by default this page. */
export function login(returnUrl?: string): Promise<never>;
/** Ends the session here and at the identity provider, and comes back to `returnUrl`: a path of the app, by default `/`. */
export function logout(returnUrl?: string): Promise<never>;
/**
 * `fetch` for a route of this app: adds the anti-forgery header, repeats once after a refresh conflict or a missing proof of
 * the device, and leaves for the login where one is needed. Rejects with a {@link Problem} if another account has signed in meanwhile (409).
 */
export function api(path: string | URL, init?: RequestInit): Promise<Response>;
/**
 * Tells when the session is about to end (`warn` seconds before), has ended, or was replaced by that of another account.
 * Gives a function that stops it.
 */
export function onSessionEnd(callback: (end: SessionEnd) => void, options?: { warn?: number }): () => void;
/** Listens to the session's events. */
export function connect(): SessionEvents;
