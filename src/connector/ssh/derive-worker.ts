import { createPrivateKey } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { pbkdf } from 'bcrypt-pbkdf';

/** What a worker is asked for; it owns the buffers of secrets and overwrites them. */
export type Derivation =
  | {
      readonly kind: 'bcrypt';
      readonly passphrase: Uint8Array<ArrayBuffer>;
      readonly salt: Uint8Array;
      readonly rounds: number;
      /** Bytes of key wanted. */
      readonly count: number;
    }
  | { readonly kind: 'pem'; readonly text: Uint8Array<ArrayBuffer>; readonly passphrase: Uint8Array<ArrayBuffer> };

parentPort?.once('message', (work: Derivation) => {
  // No reason goes back: it could only quote what it was given.
  if (work.kind === 'bcrypt') answerBcrypt(work);
  else answerPem(work);
});

function answerBcrypt({ passphrase, salt, rounds, count }: Derivation & { kind: 'bcrypt' }): void {
  const result = new Uint8Array(count);
  const status = pbkdf(passphrase, passphrase.length, salt, salt.length, result, count, rounds);
  passphrase.fill(0);
  if (status === 0) parentPort!.postMessage({ result }, [result.buffer]);
  else parentPort!.postMessage({});
}

function answerPem({ text, passphrase }: Derivation & { kind: 'pem' }): void {
  const [key, word] = [Buffer.from(text.buffer), Buffer.from(passphrase.buffer)];
  try {
    parentPort!.postMessage({ result: createPrivateKey({ key, format: 'pem', passphrase: word }) });
  } catch {
    parentPort!.postMessage({});
  } finally {
    key.fill(0);
    word.fill(0);
  }
}
