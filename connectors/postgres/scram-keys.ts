import { pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import type { Secret } from 'secretless-sidecar/connector';
import { saslPrep } from './sasl-prep.ts';
import { scramKeys, type ScramKeys, type ServerFirst } from './scram.ts';

/** Kept at most: one for each salt that the roles and servers of a service have. */
const KEYS_MAX = 8;
const derive = promisify(pbkdf2);

interface Derivation extends ServerFirst {
  /** Version of the credentials that `password` is of. */
  readonly version: string;
  readonly password: Secret;
}

interface Flight {
  readonly keys: Promise<ScramKeys>;
  /** Who has not copied them yet: the last one overwrites them. */
  waiting: number;
}

/**
 * Keys derived from the passwords of one service: a login with keys at hand takes microseconds instead of milliseconds.
 * Another version of the credentials overwrites those of the one before. Many that ask at once cause one derivation.
 */
export class ScramKeyCache {
  readonly #keys = new Map<string, ScramKeys>();
  readonly #flights = new Map<string, Flight>();
  #version: string | undefined;
  #closed = false;

  /** Keys at hand; to be used at once, since the next call may overwrite them. */
  held(version: string, { salt, iterations }: ServerFirst): ScramKeys | undefined {
    return version === this.#version ? this.#keys.get(nameOf(salt, iterations)) : undefined;
  }

  /** Derives keys off the event loop. The caller gets a copy, which it wipes. */
  async derive({ version, password, salt, iterations }: Derivation): Promise<ScramKeys> {
    const name = nameOf(salt, iterations);
    const flightName = `${version} ${name}`;
    let flight = this.#flights.get(flightName);
    if (flight === undefined) {
      const deriving = saltedKeys(password, { salt, iterations }).finally(() => this.#flights.delete(flightName));
      flight = { keys: deriving.then((keys) => this.#keep(version, name, keys)), waiting: 0 };
      this.#flights.set(flightName, flight);
    }
    flight.waiting += 1;
    const keys = await flight.keys;
    const copy = copyOf(keys);
    flight.waiting -= 1;
    if (flight.waiting === 0) wipeKeys(keys);
    return copy;
  }

  /** Overwrites all keys. */
  close(): void {
    this.#closed = true;
    this.#clear();
  }

  #keep(version: string, name: string, keys: ScramKeys): ScramKeys {
    if (this.#closed) return keys;
    if (version !== this.#version) this.#clear();
    this.#version = version;
    const replaced = this.#keys.get(name);
    if (replaced !== undefined) wipeKeys(replaced);
    else if (this.#keys.size >= KEYS_MAX) this.#evict();
    this.#keys.set(name, copyOf(keys));
    return keys;
  }

  #evict(): void {
    const [oldest, keys] = this.#keys.entries().next().value!;
    wipeKeys(keys);
    this.#keys.delete(oldest);
  }

  #clear(): void {
    for (const keys of this.#keys.values()) wipeKeys(keys);
    this.#keys.clear();
    this.#version = undefined;
  }
}

export function wipeKeys({ clientKey, serverKey }: ScramKeys): void {
  clientKey.fill(0);
  serverKey.fill(0);
}

function nameOf(salt: Buffer, iterations: number): string {
  return `${iterations} ${salt.toString('base64')}`;
}

function copyOf({ clientKey, serverKey }: ScramKeys): ScramKeys {
  return { clientKey: Buffer.from(clientKey), serverKey: Buffer.from(serverKey) };
}

/** Hi() of RFC 5802 is PBKDF2 with HMAC (section 2.2). */
async function saltedKeys(password: Secret, { salt, iterations }: ServerFirst): Promise<ScramKeys> {
  const copy = password.expose((bytes) => Buffer.from(bytes));
  const prepared = await saslPrep(copy).finally(() => copy.fill(0));
  try {
    return scramKeys(await derive(prepared, salt, iterations, 32, 'sha256'));
  } finally {
    prepared.fill(0);
  }
}
