import { defineHttpConnector, lineOf, type Secret, SidecarError, Type, withHeader } from 'secretless-sidecar/connector';

/** HTTP Basic authentication (RFC 7617), credentials in UTF-8. */
export const basicAuth = defineHttpConnector({
  kind: 'http',
  name: 'basic-auth',
  aliases: ['basic_auth'],
  summary: 'HTTP Basic authentication: user name and password',
  config: Type.Object({}, { additionalProperties: false }),
  credentials: [
    { name: 'username', required: true, meaning: 'user name, without a colon', example: 'reporter' },
    { name: 'password', required: true, meaning: 'password', example: '{ from: env, get: API_PASSWORD }' },
  ],
  open: () => ({
    authenticate(head, credentials) {
      const username = partOf(credentials.get('username'), 'username');
      // RFC 7617 section 2: the first colon ends the user name, so one inside it would move the border.
      if (username.includes(':'))
        throw new SidecarError('credential-unfit', { detail: 'credential "username" holds a colon' });
      const password = partOf(credentials.get('password'), 'password');
      const pair = Buffer.from(`${username}:${password}`).toString('base64');
      return { head: withHeader(head, 'Authorization', `Basic ${pair}`) };
    },
  }),
});

/** RFC 7617 section 2: neither part may hold a control character; `lineOf` lets an inner tab pass. */
function partOf(secret: Secret, name: string): string {
  const text = lineOf(secret, name);
  if (text.includes('\t')) throw new SidecarError('credential-unfit', { detail: `credential "${name}" holds a tab` });
  return text;
}
