// An app uses the client module in strict mode. What stands below `@ts-expect-error` must not compile.
import * as module from '../../../../src/endpoint/client/client.js';
import type { Claim, Problem, Session, SessionEnd, SessionEvents } from '../../../../src/endpoint/client/client.js';

/** As the manual says to import it. */
declare const bff: () => Promise<typeof module>;

const { api, connect, login, logout, onSessionEnd, session, user } = await bff();

const claims: Claim[] | null = await user();
// @ts-expect-error: nobody may be signed in
claims.length;
export const name: string | number | undefined = claims?.find(({ type }) => type === 'name')?.value;

const times: Session = await session();
// @ts-expect-error: only a session that is active has an end
times.session_ends_at.toFixed();
if (times.active) {
  const left: number = times.session_ends_at - times.server_now;
  const subject: unknown = times.claims['sub'];
  console.log(left, subject, times.idle_ends_at, times.access_token_expires_at, times.refresh_possible);
}

const answer: Response = await api('/api/orders', { method: 'POST', body: '{}' });
await api(new URL('/api/orders', location.origin)).catch((problem: Problem) => {
  const code: string | undefined = problem.code;
  console.log(problem.status, code, problem.message, problem.instance, problem.login_url);
});
console.log(answer.status);

const stop: () => void = onSessionEnd(({ reason, endsAt }: SessionEnd) => {
  const end: number | null = endsAt;
  // @ts-expect-error: there is no such reason
  if (reason === 'over') return;
  if (reason === 'ending') console.log(end);
}, { warn: 120 });
onSessionEnd(() => {});
stop();

const events: SessionEvents = connect();
events.addEventListener('refreshed', (event) => console.log((event as CustomEvent<{ at: number; endsAt: number }>).detail));
events.close();

// @ts-expect-error: a path is text
login(1);
await login('/orders');
// Nothing comes after it: the page is left.
const never: never = await logout();
export default never;
