import type { RelayConnection } from 'secretless-sidecar/connector';
import type { OfferedKey } from './offer.ts';
import type { Signing } from './signing.ts';

const SECONDS_DEFAULT = 30;
/** Questions at a time, the one that is asked included: who is asked without end says yes in the end. */
const QUESTIONS_MAX = 4;
const PROGRAM_DEFAULT: readonly string[] = ['/usr/bin/ssh-askpass'];

export interface ConfirmOptions {
  readonly program?: readonly string[] | undefined;
  readonly seconds?: number | undefined;
}

/** Asks a person, one question at a time: who is asked twice at once may say yes to the wrong one. */
export class Confirmation {
  readonly #program: readonly string[];
  readonly #seconds: number;
  #turn: Promise<void> = Promise.resolve();
  #questions = 0;

  constructor({ program = PROGRAM_DEFAULT, seconds = SECONDS_DEFAULT }: ConfirmOptions) {
    this.#program = program;
    this.#seconds = seconds;
  }

  async isGiven(connection: RelayConnection, question: string): Promise<boolean> {
    if (this.#questions >= QUESTIONS_MAX) {
      connection.warn('a confirmation is taken as a no: too many wait for an answer');
      return false;
    }
    this.#questions += 1;
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    try {
      await before;
      // Whoever left while others were asked for has no need of an answer.
      if (connection.signal.aborted || connection.downstream.destroyed) return false;
      return await connection.confirm(this.#program, question, this.#seconds);
    } finally {
      this.#questions -= 1;
      resolve();
    }
  }
}

/** Of printable text. What the client chose comes last, so that it can pretend nothing that would follow it. */
export function questionOf(agent: string, key: OfferedKey, signing: Signing): string {
  const what =
    signing.kind === 'login'
      ? `log in to ${signing.host?.fingerprint ?? 'a host that is not proven'} as ${signing.user}`
      : `sign for ${signing.namespace}`;
  const from = signing.forwarded ? 'A host on the way, through ' : '';
  return `Allow use of key ${key.comment}?\nKey fingerprint ${key.fingerprint}.\n${from}${agent} asks to ${what}`;
}
