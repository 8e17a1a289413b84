import type { Identity } from './messages.ts';

/** A key, or a certificate of it, that the agent speaks for: nothing of it is secret. */
export interface OfferedKey extends Identity {
  /** Of the key, also where this is its certificate. */
  readonly fingerprint: string;
  /** Of a certificate: seconds since 1970 from which on it is no longer valid. */
  readonly validBefore?: bigint;
}

/** What the clock says about what is offered. */
export interface Moment {
  readonly now: Date;
  /** Seconds since the service was opened. */
  readonly ageSeconds: number;
}

/** The public halves of one version of the credentials, and how they may be used. */
export class Offer {
  /** Changes when any credential does. */
  readonly version: string;
  /** Whether a person is asked for each signature. */
  readonly isConfirmed: boolean;
  readonly #keys: readonly OfferedKey[];
  readonly #lifetimeSeconds: number;

  /** `lifetimeSeconds`: age of the service from which on nothing is offered; 0: none. */
  constructor(
    version: string,
    keys: readonly OfferedKey[],
    settings: { readonly isConfirmed: boolean; readonly lifetimeSeconds: number },
  ) {
    this.version = version;
    this.isConfirmed = settings.isConfirmed;
    this.#keys = keys;
    this.#lifetimeSeconds = settings.lifetimeSeconds;
  }

  at({ now, ageSeconds }: Moment): readonly OfferedKey[] {
    if (this.#lifetimeSeconds > 0 && ageSeconds >= this.#lifetimeSeconds) return [];
    const seconds = BigInt(Math.floor(now.getTime() / 1000));
    return this.#keys.filter(({ validBefore }) => validBefore === undefined || seconds < validBefore);
  }

  find(blob: Buffer, moment: Moment): OfferedKey | undefined {
    return this.at(moment).find((key) => key.blob.equals(blob));
  }
}
