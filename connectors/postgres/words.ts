/** Closed lists of words, as libpq spells them: in the configuration, as credentials and in a URL alike. */
export const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof SSL_MODES)[number];

export const AUTH_METHODS = ['scram-sha-256', 'md5', 'password', 'oauth', 'none'] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];

export const CHANNEL_BINDINGS = ['disable', 'prefer', 'require'] as const;
export type ChannelBinding = (typeof CHANNEL_BINDINGS)[number];

export const SSL_NEGOTIATIONS = ['postgres', 'direct'] as const;
export type SslNegotiation = (typeof SSL_NEGOTIATIONS)[number];

export const DEFAULT_AUTH: readonly AuthMethod[] = ['scram-sha-256', 'none'];

export function isWord<Word extends string>(words: readonly Word[], text: string): text is Word {
  return (words as readonly string[]).includes(text);
}
