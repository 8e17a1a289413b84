import { canary } from '../canary.ts';
import type { PostgresSetting, PostgresVersion } from './server.ts';

/** Roles of the test servers, one for each way to log in; pg_hba.conf asks each for its own. */
export const PASSWORD = {
  scram: canary(),
  md5: canary(),
  password: canary(),
  /** A token of a cloud provider is as long. */
  long: canary('x'.repeat(2000)),
  /** RFC 4013 section 3: Ⅸ is taken for IX. */
  roman: canary('Ⅸ'),
  /** RFC 3454 table B.1: a soft hyphen is taken for nothing. */
  hyphen: canary('\u00ADend'),
  /** RFC 3454 table C.1.2: a no-break space is taken for a space. */
  space: canary('a\u00A0b'),
  /** Unassigned in Unicode 3.2: not prepared at all. */
  emoji: canary('🐘 "quoted" \\ \'single\''),
} as const;

/** Versions before refuse to store a password of more than 1,024 bytes. */
export const LONG_SINCE = 14;

export type Role = keyof typeof PASSWORD;

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

function createRole(role: Role): string {
  // A literal without escapes: a backslash is a backslash (standard_conforming_strings).
  const hash = role === 'md5' ? "set password_encryption = 'md5'; " : '';
  return `${hash}create role ${role}_role login password ${quoted(PASSWORD[role])}`;
}

const host = (role: string, method: string, type = 'host'): string => `${type} all ${role}_role 127.0.0.1/32 ${method}`;

/** A server with all of them. Roles beyond those with a password: trust, cert, reject, tlsonly, nologin, few. */
export function settingOfRoles(version: PostgresVersion): PostgresSetting {
  const passwords = (Object.keys(PASSWORD) as Role[]).filter((role) => version >= LONG_SINCE || role !== 'long');
  return {
    version,
    hba: [
      host('trust', 'trust'),
      host('md5', 'md5'),
      host('password', 'password'),
      host('long', 'password', 'hostssl'),
      host('cert', 'cert', 'hostssl'),
      host('cert', 'reject'),
      host('reject', 'reject'),
      host('tlsonly', 'trust', 'hostssl'),
      host('tlsonly', 'reject', 'hostnossl'),
      'host all all 127.0.0.1/32 scram-sha-256',
      'local all trust_role trust',
    ],
    setup: [
      ...passwords.map(createRole),
      ...['trust', 'cert', 'reject', 'tlsonly'].map((role) => `create role ${role}_role login`),
      `create role nologin_role nologin password ${quoted(PASSWORD.scram)}`,
      `create role few_role login connection limit 0 password ${quoted(PASSWORD.scram)}`,
    ],
  };
}
