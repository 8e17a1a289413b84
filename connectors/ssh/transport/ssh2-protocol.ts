import type { AeadCipher, AeadDecipher } from './aead-packets.ts';
import { replaceCiphers, type ReplacedCiphers } from './ssh2-ciphers.ts';
import { loadSsh2 } from './ssh2-load.ts';
import { SshError } from './ssh-error.ts';

/** The parts of ssh2's `Protocol` that the transport uses; most are private to ssh2, hence the check below. */
export interface Ssh2Protocol {
  start: (() => void) | undefined;
  parse(chunk: Uint8Array, start: number, end: number): void;
  rekey(): void;
  cleanup(): void;
  _onPayload(payload: Buffer): number | false | undefined;
  /** Our KEXINIT: present while a key exchange runs. */
  readonly _kexinit: Buffer | undefined;
  readonly _kex: { readonly sessionID: Buffer } | undefined;
  readonly _strictMode: boolean | undefined;
  /** Ours where it is one with a tag. */
  readonly _decipher: AeadDecipher | { readonly inSeqno: number } | undefined;
  /** Ours where it is one with a tag. */
  readonly _cipher: AeadCipher | { readonly outSeqno: number };
  readonly _packetRW: { readonly write: PacketWriter };
}

interface PacketWriter {
  readonly allocStart: number;
  readonly allocStartKEX: number;
  alloc(payloadBytes: number, evenInKeyExchange?: boolean): Buffer;
  finalize(packet: Buffer, evenInKeyExchange?: boolean): Buffer;
}

export interface Negotiated {
  readonly kex: string;
  readonly serverHostKey: string;
  readonly cs: { readonly cipher: string; readonly mac: string; readonly compress: string };
  readonly sc: { readonly cipher: string; readonly mac: string; readonly compress: string };
}

interface Offer {
  readonly cipher: readonly string[];
  readonly mac: readonly string[];
  readonly compress: readonly string[];
  readonly lang: readonly string[];
}

/** What signs key exchanges: ed25519, so that no hash is asked for. */
export interface Ssh2HostKey {
  readonly type: 'ssh-ed25519';
  getPublicSSH(): Buffer;
  sign(hash: Buffer): Buffer;
}

export interface Ssh2Config {
  readonly server: boolean;
  readonly ident: string;
  readonly hostKeys?: Readonly<Record<string, Ssh2HostKey>>;
  readonly hostVerifier?: (key: Buffer) => boolean;
  readonly offer: {
    readonly kex: readonly string[];
    readonly serverHostKey: readonly string[];
    readonly cs: Offer;
    readonly sc: Offer;
  };
  readonly onWrite: (bytes: Uint8Array) => void;
  readonly onError: (error: Error) => void;
  readonly onHandshakeComplete: (negotiated: Negotiated) => void;
  readonly onHeader: (header: { readonly identRaw: string }) => void;
}

export interface Ssh2 {
  readonly create: (config: Ssh2Config) => Ssh2Protocol;
  /** Encrypts and writes, or keeps the packet until a key exchange is over. */
  readonly sendPacket: (protocol: Ssh2Protocol, packet: Buffer, evenInKeyExchange?: boolean) => void;
  /** Whether the native addon is there: it encrypts in place, the fallback does not. */
  readonly native: boolean;
  /** Loads the WebAssembly of Poly1305, which the fallback needs. */
  readonly ready: Promise<void>;
}

let loaded: Ssh2 | undefined;

/** The transport layer, loaded and looked over once in a process. Errors: `unfit`. */
export function ssh2(): Ssh2 {
  loaded ??= load();
  return loaded;
}

function load(): Ssh2 {
  let ciphers: ReplacedCiphers | undefined;
  const modules = loadSsh2((found) => (ciphers = replaceCiphers(found)));
  const Protocol = modules.protocol as new (config: Ssh2Config) => Ssh2Protocol;
  const { sendPacket } = modules.wireTools as { sendPacket: Ssh2['sendPacket'] };
  if (typeof Protocol !== 'function' || typeof sendPacket !== 'function' || ciphers === undefined) {
    throw new SshError('unfit', 'ssh2 does not export what the transport needs');
  }
  const create = (config: Ssh2Config): Ssh2Protocol => new Protocol(config);
  checkShape(create);
  return { create, sendPacket, ...ciphers };
}

/** Makes one of each role and looks whether everything that the transport touches is where it is taken to be. */
export function checkShape(create: (config: Ssh2Config) => Ssh2Protocol): void {
  const nothing = (): void => undefined;
  const one: Offer = { cipher: [], mac: [], compress: [], lang: [] };
  for (const server of [true, false]) {
    const offer = { kex: [], serverHostKey: [], cs: one, sc: one };
    const callbacks = { onWrite: nothing, onError: nothing, onHandshakeComplete: nothing, onHeader: nothing };
    const hostVerifier = (): boolean => false;
    const made = create({ server, ident: 'shape', hostKeys: {}, hostVerifier, offer, ...callbacks });
    const wrong = shapeProblem(made, server, hostVerifier);
    if (wrong !== undefined) throw new SshError('unfit', `ssh2 is not of the shape that is known: ${wrong}`);
    made.cleanup();
  }
}

function shapeProblem(made: Ssh2Protocol, server: boolean, hostVerifier: unknown): string | undefined {
  for (const name of ['start', 'parse', 'rekey', 'cleanup', '_onPayload'] as const) {
    if (typeof made[name] !== 'function') return name;
  }
  if (typeof made._cipher?.outSeqno !== 'number') return '_cipher';
  for (const name of ['_kexinit', '_kex', '_strictMode', '_decipher'] as const) {
    if (!(name in made) || made[name] !== undefined) return name;
  }
  const { write } = made._packetRW;
  if (typeof write.alloc !== 'function' || typeof write.finalize !== 'function') return '_packetRW.write';
  if (write.allocStart !== 5 || write.allocStartKEX !== 5) return '_packetRW.write.allocStart';
  const held = (made as unknown as { _hostVerifier: unknown })._hostVerifier;
  if (held !== (server ? undefined : hostVerifier)) return '_hostVerifier';
  return undefined;
}
