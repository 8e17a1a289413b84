import type { KeyObject } from 'node:crypto';
import { once } from 'node:events';
import type { Secret } from '../../credential/secret.ts';
import { openDeriver } from './derive-thread.ts';
import type { Derivation } from './derive-worker.ts';
import { Turns } from './turns.ts';
import { WireError } from './wire.ts';

/** `ssh-keygen -a`: some hundreds are usual at most, and one takes some 10 ms in JavaScript. */
const BCRYPT_ROUNDS_MAX = 2000;
const DERIVATION_SECONDS_MAX = 60;
/** Each has a thread and some 30 MB, and all share the processors: more at a time would take longer each, and then too long. */
const turns = new Turns(2);

/** bcrypt_pbkdf of OpenBSD, off the event loop. Errors: `WireError` where it takes too long. */
export async function bcryptPbkdf(passphrase: Secret, salt: Buffer, rounds: number, count: number): Promise<Buffer> {
  if (rounds < 1 || rounds > BCRYPT_ROUNDS_MAX) throw new WireError(`a derivation of ${rounds} rounds`);
  const keys = (await turns.take(() => {
    const work = { kind: 'bcrypt', passphrase: copyOf(passphrase), salt: new Uint8Array(salt), rounds, count } as const;
    return performed(work, [work.passphrase]);
  })) as Uint8Array<ArrayBuffer>;
  return Buffer.from(keys.buffer, keys.byteOffset, keys.byteLength);
}

/** Decrypts a PEM, whose iterations only the crypto library reads, off the event loop. Errors: `WireError`. */
export async function openPem(text: Secret, passphrase: Secret): Promise<KeyObject> {
  return (await turns.take(() => {
    const work = { kind: 'pem', text: copyOf(text), passphrase: copyOf(passphrase) } as const;
    return performed(work, [work.text, work.passphrase]);
  })) as KeyObject;
}

/** The memory is its own, so that it can be handed over to the worker, which overwrites it. */
function copyOf(secret: Secret): Uint8Array<ArrayBuffer> {
  return secret.expose((bytes) => new Uint8Array(bytes));
}

async function performed(work: Derivation, secrets: readonly Uint8Array<ArrayBuffer>[]): Promise<unknown> {
  const worker = openDeriver();
  try {
    worker.postMessage(
      work,
      secrets.map((secret) => secret.buffer),
    );
    const signal = AbortSignal.timeout(DERIVATION_SECONDS_MAX * 1000);
    const [answer] = (await once(worker, 'message', { signal })) as [{ readonly result?: unknown }];
    if (answer.result === undefined) throw new WireError('the passphrase is wrong, or the key was changed');
    return answer.result;
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') throw new WireError('a derivation that takes too long');
    throw error;
  } finally {
    void worker.terminate();
  }
}
