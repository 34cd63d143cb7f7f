import { headers } from 'next/headers';

/** What the server knows of the user: the access token that sealgate has put into the request. */
export async function who() {
  const [scheme, token] = ((await headers()).get('authorization') ?? '').split(' ');
  if (scheme !== 'Bearer') return 'nobody';
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).sub;
}
