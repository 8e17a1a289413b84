import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { PrivateKey, publicKeyOf, type SignatureAlgorithm, strings, uint32 } from 'secretless-sidecar/connector/ssh';
import { AgentConversation, type KeyHolder, type Order, type Reach } from '../conversation.ts';
import { messagesOf } from '../frames.ts';
import type { Identity } from '../messages.ts';
import type { Signing } from '../signing.ts';

/** What OpenSSH names key types, to keys that Node makes. */
export type KeyType = 'ed25519' | 'rsa' | 'nistp256' | 'nistp384' | 'nistp521';

export function keyPair(type: KeyType = 'ed25519'): PrivateKey {
  const key = privateKeyOf(type);
  return new PrivateKey(key, publicKeyOf(key));
}

function privateKeyOf(type: KeyType): KeyObject {
  if (type === 'ed25519') return generateKeyPairSync('ed25519').privateKey;
  if (type === 'rsa') return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  return generateKeyPairSync('ec', { namedCurve: type.replace('nistp', 'P-') }).privateKey;
}

/** Holds keys, says yes to what `allows` allows, and remembers what it was asked. */
export class TestHolder implements KeyHolder {
  readonly keys: { readonly identity: Identity; readonly key: PrivateKey }[] = [];
  readonly asked: Signing[] = [];
  readonly signed: { readonly bytes: Uint8Array; readonly algorithm: SignatureAlgorithm }[] = [];
  readonly refusals: string[] = [];
  readonly reaches: Reach[] = [];
  allows: (signing: Signing) => boolean = () => true;

  add(key: PrivateKey, comment = 'a key', blob: Buffer = key.publicBlob): this {
    this.keys.push({ identity: { blob, comment }, key });
    return this;
  }

  async identities(reach: Reach): Promise<readonly Identity[]> {
    this.reaches.push(reach);
    return this.keys.map(({ identity }) => identity);
  }

  async sign({ blob, bytes, algorithm, signing }: Order): Promise<Buffer> {
    this.asked.push(signing);
    const held = this.keys.find(({ identity }) => identity.blob.equals(blob));
    if (held === undefined || !this.allows(signing)) throw new Error('refused');
    this.signed.push({ bytes: Buffer.from(bytes), algorithm });
    return held.key.sign(bytes, algorithm);
  }

  async refused(refusal: string): Promise<void> {
    this.refusals.push(refusal);
  }
}

/** The answers to a client's bytes. */
export async function* answersTo(chunks: AsyncIterable<Uint8Array>, holder: KeyHolder): AsyncGenerator<Buffer, void> {
  const conversation = new AgentConversation(holder);
  for await (const message of messagesOf(chunks)) yield await conversation.answer(message);
}

export function signRequest(blob: Uint8Array, bytes: Uint8Array, flags = 0): Buffer {
  return Buffer.concat([Buffer.of(13), strings(blob, bytes), uint32(flags)]);
}

export interface LoginParts {
  readonly sessionId: Buffer;
  readonly blob: Buffer;
  readonly user?: string;
  readonly service?: string;
  readonly method?: string;
  readonly algorithm?: string;
  readonly hostKey?: Buffer;
  readonly flag?: number;
  /** Of the message; 50 is a request to log in. */
  readonly number?: number;
}

/** What a client has signed to log in (RFC 4252 section 7). */
export function loginBytes(parts: LoginParts): Buffer {
  const { sessionId, blob, user = 'deploy', service = 'ssh-connection', hostKey, flag = 1, number = 50 } = parts;
  const method = parts.method ?? (hostKey === undefined ? 'publickey' : 'publickey-hostbound-v00@openssh.com');
  const algorithm = parts.algorithm ?? 'ssh-ed25519';
  const head = [strings(sessionId), Buffer.of(number), strings(user, service, method), Buffer.of(flag)];
  return Buffer.concat([...head, strings(algorithm, blob), hostKey === undefined ? Buffer.alloc(0) : strings(hostKey)]);
}

export function sshsigBytes(namespace: string, hash: Uint8Array, hashAlgorithm = 'sha512', reserved = ''): Buffer {
  return Buffer.concat([Buffer.from('SSHSIG'), strings(namespace, reserved, hashAlgorithm, hash)]);
}

export async function bindRequest(host: PrivateKey, sessionId: Buffer, isForwarding = false): Promise<Buffer> {
  return bindMessage(host.publicBlob, sessionId, await host.sign(sessionId), isForwarding);
}

export function bindMessage(hostKey: Buffer, sessionId: Buffer, signature: Buffer, isForwarding = false): Buffer {
  const name = strings('session-bind@openssh.com');
  return Buffer.concat([Buffer.of(27), name, strings(hostKey, sessionId, signature), Buffer.of(isForwarding ? 1 : 0)]);
}
