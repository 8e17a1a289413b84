import { lookup as dnsLookup } from 'node:dns/promises';
import { SidecarError } from '../error.ts';
import { AddressSet, formsOf, parseAddress, type NumericAddress } from './address-set.ts';
import { classify, type AddressClass } from './built-in-deny.ts';
import { abortError, unlessAborted } from './deadline.ts';

/**
 * Who chose the host. `service`: the operator, as the target of a service. `passed`: the agent, for what is let through
 * without a credential.
 */
export type GuardMode = 'service' | 'passed';

export interface GuardOptions {
  /** CIDR blocks that no name leads to. */
  readonly deny: readonly string[];
  /** CIDR blocks taken out of the built-in set and of `deny`, by the narrower block; of two equal ones `deny` holds. */
  readonly reach: readonly string[];
  /** Addresses of names, in place of DNS; not held against the sets. Keys as `parseHost` returns them. */
  readonly resolve: Readonly<Record<string, string>>;
  /** In place of the system's resolver. Called once for a dial; never for literals and names in `resolve`. */
  readonly lookup?: Lookup;
}

export type Lookup = (host: string) => Promise<readonly { readonly address: string }[]>;

/** Decides which addresses a host may be dialled at. */
export interface Guard {
  /**
   * The addresses of `host` (as `parseHost` returns it), all of them checked; at least one. One that is refused refuses
   * all: whoever answers with it next to a good one is trying to get there. Errors: `address-refused`,
   * `upstream-unreachable`, the reason of `signal`.
   */
  addresses(host: string, mode: GuardMode, signal: AbortSignal): Promise<readonly string[]>;
  /**
   * The address that is written: as a literal, or in `resolve`. Undefined for names, which only a resolver can tell.
   * Never asks one. Errors: `address-refused`.
   */
  written(host: string, mode: GuardMode): string | undefined;
}

/** Errors: `config-invalid`. */
export function openGuard(options: GuardOptions): Guard {
  return new AddressGuard(options);
}

/** Addresses that one name may have; more are no answer but an attack on whoever tries them all. */
const ADDRESSES_MAX = 64;

const systemLookup: Lookup = (host) => dnsLookup(host, { all: true, order: 'verbatim' });

class AddressGuard implements Guard {
  readonly #deny: AddressSet;
  readonly #reach: AddressSet;
  readonly #resolve: ReadonlyMap<string, string>;
  readonly #lookup: Lookup;

  constructor(options: GuardOptions) {
    this.#deny = new AddressSet(options.deny);
    this.#reach = new AddressSet(options.reach);
    this.#resolve = new Map(Object.entries(options.resolve).map(([name, text]) => [name, literal(name, text)]));
    this.#lookup = options.lookup ?? systemLookup;
  }

  written(host: string, mode: GuardMode): string | undefined {
    const set = this.#resolve.get(host);
    if (set !== undefined) return set;
    const address = parseAddress(host);
    // The operator wrote where a service is; of a passed host the agent did.
    if (mode === 'passed') {
      if (address !== undefined) this.#check(host, host, address, []);
      else if (isLocalName(host)) throw refused(`${host}: loopback by its name`);
    }
    return address === undefined ? undefined : host;
  }

  async addresses(host: string, mode: GuardMode, signal: AbortSignal): Promise<readonly string[]> {
    if (signal.aborted) throw abortError(signal);
    const written = this.written(host, mode);
    if (written !== undefined) return [written];
    const found = await this.#ask(host, signal);
    if (found.length === 0) throw new SidecarError('upstream-unreachable', { detail: `${host} has no address` });
    if (found.length > ADDRESSES_MAX) throw refused(`${host} has more than ${ADDRESSES_MAX} addresses`);
    const open = openClasses(host, mode);
    return found.map(({ address }) => {
      const numeric = parseAddress(address);
      if (numeric === undefined)
        throw refused(`${host} leads to ${JSON.stringify(address)}, which is no plain address`);
      this.#check(host, address, numeric, open);
      return address;
    });
  }

  async #ask(host: string, signal: AbortSignal): Promise<readonly { readonly address: string }[]> {
    try {
      // The system's resolver cannot be stopped.
      return await unlessAborted(this.#lookup(host), signal);
    } catch (error) {
      if (error instanceof SidecarError) throw error;
      const reason = (error as NodeJS.ErrnoException | undefined)?.code ?? 'failed';
      throw new SidecarError('upstream-unreachable', { detail: `${host}: lookup: ${reason}`, cause: error });
    }
  }

  #check(host: string, text: string, address: NumericAddress, open: readonly AddressClass[]): void {
    for (const form of formsOf(address)) {
      const reach = this.#reach.find(form)?.prefix ?? -1;
      const deny = this.#deny.find(form);
      if (deny !== undefined && deny.prefix >= reach) throw refused(`${host} leads to ${text}: denied, ${deny.text}`);
      const built = classify(form);
      if (built === undefined || built.block.prefix <= reach || open.includes(built.name)) continue;
      throw refused(`${host} leads to ${text}: ${built.name}, ${built.block.text}`);
    }
  }
}

/** Classes that the name of a service may lead to. */
function openClasses(host: string, mode: GuardMode): readonly AddressClass[] {
  if (mode === 'passed') return [];
  return isLocalName(host) ? ['private', 'loopback'] : ['private'];
}

/** Whoever writes such a name means this machine (RFC 6761 section 6.3). */
function isLocalName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}

function literal(name: string, text: string): string {
  if (parseAddress(text) !== undefined) return text.replace(/^\[|\]$/g, '');
  throw new SidecarError('config-invalid', { detail: `resolve: ${name} has no IP address` });
}

function refused(detail: string): SidecarError {
  return new SidecarError('address-refused', { detail });
}
