import { Secret } from '../secret.ts';
import type { Fetched, SecretStore } from '../store.ts';

interface Call {
  readonly id: string;
  readonly signal: AbortSignal;
  answer(value: string | Partial<Fetched>): Promise<void>;
  fail(error: unknown): Promise<void>;
}

/** A store for tests whose every fetch waits until the test answers it. */
export class FakeStore implements SecretStore {
  readonly calls: Call[] = [];
  readonly secrets: Secret[] = [];

  fetch(id: string, signal: AbortSignal): Promise<Fetched> {
    return new Promise((resolve, reject) => {
      const answer = (value: string | Partial<Fetched>) => {
        const given = typeof value === 'string' ? { secret: new Secret(value) } : value;
        const fetched = { secret: new Secret('value'), ...given };
        this.secrets.push(fetched.secret);
        resolve(fetched);
        return settle();
      };
      // A foreign store may throw anything.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      const fail = (error: unknown) => (reject(error), settle());
      this.calls.push({ id, signal, answer, fail });
    });
  }

  async close(): Promise<void> {}
}

/** Lets every promise that can move do so. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
