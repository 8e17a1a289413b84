import { type Credentials, SidecarError } from 'secretless-sidecar/connector';
import {
  CERTIFICATE_SUFFIX,
  fingerprint,
  FingerprintPins,
  type HostVerdict,
  KnownHosts,
  readPublicKey,
  WireError,
} from 'secretless-sidecar/connector/ssh';
import { HOST_KEY_ALGORITHMS } from '../transport/index.ts';
import type { SshCredential } from './credentials.ts';
import { type Pin, readHostKeys } from './host-keys.ts';
import { publishedKeys } from './published-keys.ts';
import type { Upstream } from './target.ts';

/** What is known of the host keys of one upstream, and what to ask it for. */
export class HostTrust {
  /** Host key algorithms to offer, best first: of no other type could the key be known. */
  readonly algorithms: readonly string[];
  readonly #upstream: Upstream;
  readonly #pins: FingerprintPins;
  readonly #hosts: KnownHosts | undefined;
  readonly #takesUnknown: boolean;

  /** Errors: `host-key-unknown` where nothing is known and `insecure` is not said. */
  constructor(upstream: Upstream, pins: readonly Pin[], hosts: KnownHosts | undefined, insecure: boolean) {
    this.#upstream = upstream;
    this.#pins = new FingerprintPins(pins.map((pin) => pin.fingerprint));
    this.#hosts = hosts;
    this.#takesUnknown = insecure && pins.length === 0;
    this.algorithms = offered(pins, hosts, upstream);
    if (this.algorithms.length > 0) return;
    if (!this.#takesUnknown) {
      throw new SidecarError('host-key-unknown', { detail: `no host key of ${upstream.name} is known` });
    }
    this.algorithms = HOST_KEY_ALGORITHMS;
  }

  /**
   * `hostKey` and `knownHosts` of the credentials; what the host publishes where there is neither. Errors:
   * `host-key-unknown`, `credential-unfit`.
   */
  static of(credentials: Credentials<SshCredential>, upstream: Upstream, insecure: boolean): HostTrust {
    const read = <Result>(name: 'hostKey' | 'knownHosts', use: (bytes: Buffer) => Result): Result | undefined => {
      if (!credentials.has(name)) return undefined;
      try {
        return credentials.get(name).expose(use);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
        throw new SidecarError('credential-unfit', { detail: `"${name}" cannot be read: ${error.message}` });
      }
    };
    const pins = read('hostKey', readHostKeys);
    const hosts = read('knownHosts', (bytes) => new KnownHosts(bytes.toString('utf8')));
    const published = pins === undefined && hosts === undefined ? publishedKeys(upstream.host, upstream.port) : [];
    return new HostTrust(upstream, pins ?? published, hosts, insecure);
  }

  /** For one login: whether a key is known, and what it was. */
  check(now: Date): HostCheck {
    return new HostCheck((blob) => this.#verdict(blob, now), this.#upstream.name);
  }

  #verdict(blob: Buffer, now: Date): HostVerdict {
    const verdict = this.#hosts?.verdict(this.#upstream, blob, now) ?? 'unknown';
    if (verdict === 'revoked' || verdict === 'trusted') return verdict;
    if (this.#pins.isPinned(blob)) return 'trusted';
    return verdict === 'unknown' && this.#takesUnknown ? 'trusted' : 'changed';
  }
}

/** One look at the host key of an upstream. */
export class HostCheck {
  readonly #verdict: (blob: Buffer) => HostVerdict;
  readonly #name: string;
  #finding: string | undefined;

  constructor(verdict: (blob: Buffer) => HostVerdict, name: string) {
    this.#verdict = verdict;
    this.#name = name;
  }

  /** What was found out about the key, for the log; undefined where none was looked at. */
  get finding(): string | undefined {
    return this.#finding;
  }

  readonly accepts = (blob: Buffer): boolean => {
    const verdict = this.#verdict(blob);
    this.#finding = `${this.#name} shows the ${typeOf(blob)} host key ${fingerprint(blob)}, which is ${WORDS[verdict]}`;
    return verdict === 'trusted';
  };
}

const WORDS: Readonly<Record<HostVerdict, string>> = {
  trusted: 'known',
  unknown: 'not known',
  changed: 'not one of those that are known',
  revoked: 'revoked',
};

/** Of a key that could be read: what the upstream calls it is not repeated. */
function typeOf(blob: Buffer): string {
  try {
    return readPublicKey(blob).algorithm;
  } catch {
    return 'certified';
  }
}

function offered(pins: readonly Pin[], hosts: KnownHosts | undefined, upstream: Upstream): readonly string[] {
  const types = new Set<string>([...pins.flatMap(({ type }) => type ?? []), ...(hosts?.types(upstream) ?? [])]);
  const isAnyType = pins.some(({ type }) => type === undefined);
  const isKnown = (name: string): boolean => isAnyType || types.has(name.startsWith('rsa-') ? 'ssh-rsa' : name);
  const certified = hosts?.hasAuthority(upstream) === true ? HOST_KEY_ALGORITHMS : [];
  return [...certified.map((name) => name + CERTIFICATE_SUFFIX), ...HOST_KEY_ALGORITHMS.filter(isKnown)];
}
