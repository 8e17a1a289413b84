import { SigningProblem } from './problem.ts';
import { timeOfAmzDate } from './string-to-sign.ts';

/** What a signature is good for: the parts of a credential scope. Everything in it may come from the agent. */
export interface Scope {
  /** `YYYYMMDD`. */
  readonly date: string;
  /** Absent in the scopes of SigV4a. */
  readonly region?: string;
  /** Signing name, not always the name in the host. */
  readonly service: string;
}

export interface Credential {
  readonly accessKeyId: string;
  readonly scope: Scope;
}

const TERMINATOR = 'aws4_request';
/** Longest first part that is read; AWS has at most 128 (IAM API Reference, AccessKey). */
const ACCESS_KEY_ID = /^[\x21-\x2b\x2d-\x2e\x30-\x3a\x3c\x3e-\x7e]{1,128}$/;
/** Letters of host names only: both become parts of one. A service name has at most 35 letters today. */
const REGION = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;
const SERVICE = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/** `date/region/service/aws4_request`, without the region for SigV4a. Checks what it is given. */
export function formatScope(scope: Scope): string {
  checkScope(scope);
  return joinScope(scope);
}

/** The same, unchecked. */
export function joinScope({ date, region, service }: Scope): string {
  return region === undefined ? `${date}/${service}/${TERMINATOR}` : `${date}/${region}/${service}/${TERMINATOR}`;
}

/**
 * Reads `AKID/date/region/service/aws4_request`, already percent-decoded. `regional` is false for SigV4a, whose scopes
 * have no region. Errors: `malformed-scope`.
 */
export function parseCredential(text: string, regional: boolean): Credential {
  const parts = text.split('/', 6);
  if (parts.length !== (regional ? 5 : 4) || parts.at(-1) !== TERMINATOR) throw malformed();
  const accessKeyId = parts[0]!;
  if (!ACCESS_KEY_ID.test(accessKeyId)) throw malformed();
  const scope: Scope = regional
    ? { date: parts[1]!, region: parts[2]!, service: parts[3]! }
    : { date: parts[1]!, service: parts[2]! };
  checkScope(scope);
  return { accessKeyId, scope };
}

function checkScope({ date, region, service }: Scope): void {
  if ((region !== undefined && !REGION.test(region)) || !SERVICE.test(service)) throw malformed();
  try {
    timeOfAmzDate(`${date}T000000Z`);
  } catch {
    throw malformed();
  }
}

function malformed(): SigningProblem {
  return new SigningProblem(
    'malformed-scope',
    'the credential scope is not of the form date/region/service/aws4_request',
  );
}
