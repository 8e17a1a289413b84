import { SidecarError } from 'secretless-sidecar/connector';

/** What a login name says. */
export interface LoginName {
  readonly service: string;
  /** Whom the downstream wants to be upstream; absent where it named the service alone. */
  readonly user?: string;
}

const SEPARATOR = '--';
/** None of them survives every client, and a host or a port is nobody's to choose. */
// eslint-disable-next-line no-control-regex -- control characters are what must not be there
const FOREIGN = /[\u0000-\u0020\u007f-\u009f@:/\\]/;

/**
 * Reads a login name: the name of a service of the listener, `user--service`, or, where there is only one service, the
 * name of a user. Errors: `upstream-unclear`.
 */
export function readLoginName(name: string, services: readonly string[]): LoginName {
  if (FOREIGN.test(name)) throw unclear('a login name with a letter that no name has');
  if (services.includes(name)) return { service: name };
  const at = name.lastIndexOf(SEPARATOR);
  if (at > 0) {
    const service = name.slice(at + SEPARATOR.length);
    if (services.includes(service)) return { service, user: name.slice(0, at) };
    // Somebody wants a service that there is not: another one would be the wrong one.
    throw unclear('the login name is of a service that this listener does not have');
  }
  const [only, ...others] = services;
  if (only === undefined || others.length > 0) throw unclear('several services, and the login name is of none of them');
  return { service: only, user: name };
}

function unclear(detail: string): SidecarError {
  return new SidecarError('upstream-unclear', {
    detail,
    next: 'log in as `service` or `user--service`: ssh user--service@host',
  });
}

/**
 * Who it is upstream, where the downstream may choose: one of `users`. Undefined: whomever the credentials name.
 * Errors: `policy-denied`.
 */
export function chosenUser({ service, user }: LoginName, users: readonly string[] | undefined): string | undefined {
  if (users === undefined || user === undefined) return undefined;
  if (users.includes(user)) return user;
  throw new SidecarError('policy-denied', {
    detail: `a user that \`users\` of "${service}" does not list`,
    next: 'log in as a user that this service lists, or with the name of the service alone',
  });
}
