import type { LoginMethod } from './client-login.ts';
import { SshError } from './ssh-error.ts';

/** Names that may be told on: those of RFC 4252 §5, 4256, 4462. What else the upstream says is its own text. */
const KNOWN: readonly string[] = [
  'none',
  'publickey',
  'password',
  'keyboard-interactive',
  'hostbased',
  'gssapi-with-mic',
];

/** What USERAUTH_FAILURE says (RFC 4252 §5.1). */
export interface Failure {
  /** The way was accepted, and another is wanted on top of it. */
  readonly partial: boolean;
  /** Methods that can go on. */
  readonly methods: readonly string[];
}

/** Which way of logging in comes next: each is tried once, and once more where it came too early. */
export class LoginOrder {
  #left: readonly LoginMethod[];
  /** Those that the upstream did not take at that point, and may take after another. */
  #early: readonly LoginMethod[] = [];
  #methods: readonly string[] | undefined;
  #refused: readonly string[] = [];

  constructor(ways: readonly LoginMethod[]) {
    this.#left = ways;
  }

  next(): LoginMethod | undefined {
    const way = this.#left.find((each) => this.#isOpen(each));
    this.#left = this.#left.filter((each) => each !== way);
    return way;
  }

  #isOpen(way: LoginMethod): boolean {
    if (way.method === 'keyboard-interactive' && this.#refused.includes(way.insteadOf ?? '')) return false;
    return this.#methods === undefined || this.#methods.includes(way.method);
  }

  failed(way: LoginMethod, { partial, methods }: Failure): void {
    this.#methods = methods;
    if (partial) {
      this.#left = [...this.#early, ...this.#left];
      this.#early = [];
    } else if (methods.includes(way.method)) this.#refused = [...this.#refused, way.method];
    else this.#early = [...this.#early, way];
  }

  /** Why there is no next one. */
  error(): SshError {
    if (this.#refused.length > 0) return new SshError('denied', `the upstream refused ${this.#refused.join(', ')}`);
    const wanted = this.#methods?.filter((name) => KNOWN.includes(name)) ?? [];
    const names = wanted.length === 0 ? 'none that is known' : wanted.join(', ');
    return new SshError('unsupported', `of the ways to log in, the upstream takes ${names}`);
  }
}
