// RFC 8693 for `oidc-provider`, which has no such grant of its own.

/** RFC 8693 §2.1. */
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
/** RFC 8693 §3. */
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

/** Teaches the provider to exchange access tokens for `audiences`; `resourceServer` says what a token for one of them is like. */
export function exchange(provider, audiences, resourceServer) {
  const handler = async (ctx) => {
    const { client, params } = ctx.oidc;
    const refuse = (status, error) => Object.assign(ctx, { status, body: { error } });
    const subject = await provider.AccessToken.find(params.subject_token);
    if (params.subject_token_type !== ACCESS_TOKEN) return refuse(400, 'invalid_request');
    if (!subject || subject.clientId !== client.clientId) return refuse(400, 'invalid_grant');
    if (!audiences.includes(params.audience)) return refuse(400, 'invalid_target');
    const target = resourceServer(params.audience);
    const { scope } = target;
    const token = new provider.AccessToken({ client, accountId: subject.accountId, grantId: subject.grantId, gty: 'token-exchange', scope });
    token.resourceServer = new provider.ResourceServer(params.audience, target);
    ctx.body = {
      access_token: await token.save(), issued_token_type: ACCESS_TOKEN, token_type: 'Bearer', expires_in: token.expiration, scope,
    };
    return undefined;
  };
  const parameters = ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'resource', 'scope'];
  provider.registerGrantType(TOKEN_EXCHANGE, handler, parameters, ['audience', 'resource']);
}
