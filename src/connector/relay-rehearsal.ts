import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { duplexPair, type Duplex } from 'node:stream';
import { Secret } from '../credential/secret.ts';
import { SidecarError } from '../error.ts';
import type { Facts } from '../policy/request.ts';
import type { Address } from './handshake.ts';
import type { Loan, Permission, RelayConnection, RelayEnd, RelayService } from './relay.ts';

/** What a relay meets in place of the world. */
export interface RelayScript<Name extends string = string> {
  /** Absent: policy refuses everything. */
  readonly credentials?: Readonly<Record<Name, string>>;
  /** What policy refuses with; default `policy-denied`. */
  readonly denial?: SidecarError;
  /** What `admit` says yes to; default: everything where there are credentials. */
  readonly admits?: (facts: Facts) => boolean;
  /** What `reauthorize` has; absent: nothing else. */
  readonly newer?: Readonly<Record<Name, string>>;
  /** Plays the upstream on its end of what is dialled. Absent: it cannot be reached. */
  readonly upstream?: (server: Duplex, address: Address, via: string | undefined) => void;
  /** Of the whole connection: see `RelayConnection.refusal`. */
  readonly refusal?: SidecarError;
  /** Waits there until the connection is over. */
  readonly hangsAt?: 'authorize' | 'dial';
  /** Other services of the listener. */
  readonly siblings?: Readonly<Record<string, RelayService>>;
  readonly confirms?: boolean;
  /** Of all limits; default 0.3. */
  readonly seconds?: number;
}

export interface Dialled {
  readonly address: Address;
  readonly via: string | undefined;
  /** The connector's end, and that of whoever plays the upstream. */
  readonly upstream: Duplex;
  readonly server: Duplex;
}

const DETAIL = 'detail-for-the-log-only';
let ownKey: KeyObject | undefined;

/** One connection in memory, which keeps the rules of `RelayConnection` and notes where the connector does not. */
export class RelayRehearsal<Name extends string = string> {
  readonly connection: RelayConnection<Name>;
  /** The other end of the downstream: where the agent's program is. */
  readonly client: Duplex;
  readonly asked: Facts[] = [];
  readonly admitted: Facts[] = [];
  /** What the connector refused by itself. */
  readonly refused: { readonly facts: Facts; readonly error: SidecarError }[] = [];
  readonly dialled: Dialled[] = [];
  readonly proven: string[] = [];
  readonly chosen: string[] = [];
  readonly warnings: string[] = [];
  /** What the connector did and must not: `dials before it is authorized`. */
  readonly violations: string[] = [];
  readonly #heard: Buffer[] = [];
  readonly #said: Buffer[] = [];
  readonly #script: RelayScript<Name>;
  readonly #over = new AbortController();
  readonly #ending = new AbortController();
  readonly #loans = new Set<Loan<Name>>();

  constructor(script: RelayScript<Name> = {}) {
    this.#script = script;
    const [downstream, client] = connected();
    record(downstream, this.#heard);
    this.client = client;
    this.connection = this.#connect(downstream);
  }

  /** All that was written to the client. */
  get heard(): Buffer {
    return Buffer.concat(this.#heard);
  }

  /** All that was written to upstreams. */
  get said(): Buffer {
    return Buffer.concat(this.#said);
  }

  /** Lets the service lead the connection. What it leaves open that it dialled is noted, and everything is ended. */
  async run(service: RelayService<Name>): Promise<RelayEnd> {
    try {
      const end = await service.relay(this.connection);
      // Ends of streams take a turn of the event loop.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.dialled.some(({ upstream }) => !upstream.destroyed && !upstream.writableEnded)) {
        this.violations.push('leaves open what it dialled');
      }
      return end;
    } finally {
      this.close();
    }
  }

  /** The connection must be over at once. */
  end(reason = new SidecarError('grant-ended')): void {
    this.#over.abort(reason);
  }

  /** The connection should end as soon as nothing is in progress. */
  drain(reason = new SidecarError('draining')): void {
    this.#ending.abort(reason);
  }

  close(): void {
    this.end();
    for (const stream of [this.connection.downstream, this.client]) stream.destroy();
    for (const { upstream, server } of this.dialled) [upstream, server].forEach((stream) => stream.destroy());
  }

  #connect(downstream: Duplex): RelayConnection<Name> {
    const { refusal, siblings = {}, seconds = 0.3, confirms = false } = this.#script;
    return {
      id: 'rehearsal-id',
      service: 'rehearsal',
      agent: 'local',
      downstream,
      signal: this.#over.signal,
      ending: this.#ending.signal,
      loginSeconds: seconds,
      headerSeconds: seconds,
      idleSeconds: seconds,
      refusal,
      services: ['rehearsal', ...Object.keys(siblings)].sort(),
      authorize: (facts, upstream) => this.#authorize(facts, upstream),
      reauthorize: async (loan) => this.#reauthorize(loan),
      dial: (address, via) => this.#dial(address, via),
      admit: (facts) => this.#admit(facts),
      hostKey: async () => (ownKey ??= generateKeyPairSync('ed25519').privateKey),
      prove: (agent) => {
        this.#needUnauthorized('says who the agent is');
        this.proven.push(agent);
      },
      choose: (service) => {
        this.#needUnauthorized('chooses a service');
        this.chosen.push(service);
        return Object.hasOwn(siblings, service) ? siblings[service] : undefined;
      },
      refused: async (facts, error) => void this.refused.push({ facts, error }),
      passed: () => undefined,
      confirm: async () => confirms,
      working: () => undefined,
      warn: (message) => void this.warnings.push(message),
    };
  }

  async #authorize(facts: Facts, upstream: (credentials: Loan<Name>['credentials']) => string): Promise<Loan<Name>> {
    this.asked.push(facts);
    const { credentials, hangsAt } = this.#script;
    if (hangsAt === 'authorize') await this.#isOver();
    this.#permit(credentials !== undefined);
    const loan = this.#lend(credentials!);
    upstream(loan.credentials);
    return loan;
  }

  #reauthorize(loan: Loan<Name>): Loan<Name> | undefined {
    if (!this.#loans.has(loan)) this.#refuse('asks for another credential than one that it was lent');
    const { newer } = this.#script;
    return newer === undefined ? undefined : this.#lend(newer);
  }

  async #admit(facts: Facts): Promise<Permission> {
    this.admitted.push(facts);
    const { credentials, admits = () => credentials !== undefined } = this.#script;
    this.#permit(admits(facts));
    return { end: () => undefined };
  }

  async #dial(address: Address, via?: string): Promise<Duplex> {
    if (this.#loans.size === 0) this.#refuse('dials before it is authorized');
    const { upstream: play, hangsAt } = this.#script;
    if (hangsAt === 'dial') await this.#isOver();
    this.#over.signal.throwIfAborted();
    if (play === undefined) {
      throw new SidecarError('upstream-unreachable', { detail: DETAIL, cause: new Error(DETAIL) });
    }
    const [upstream, server] = connected();
    record(upstream, this.#said);
    this.dialled.push({ address, via, upstream, server });
    play(server, address, via);
    return upstream;
  }

  #lend(values: Readonly<Record<Name, string>>): Loan<Name> {
    const secrets = new Map(Object.entries<string>(values).map(([name, value]) => [name, new Secret(value)]));
    const get = (name: string): Secret => {
      const secret = secrets.get(name);
      if (secret === undefined) throw new SidecarError('credential-missing', { detail: `credential "${name}"` });
      return secret;
    };
    const loan: Loan<Name> = {
      credentials: { names: [...secrets.keys()], has: (name) => secrets.has(name), get },
      version: 'rehearsal-1',
      release: () => secrets.forEach((secret) => secret.wipe()),
      end: () => undefined,
    };
    this.#loans.add(loan);
    return loan;
  }

  #permit(allowed: boolean): void {
    this.#over.signal.throwIfAborted();
    if (this.#script.refusal !== undefined) throw this.#script.refusal;
    if (allowed) return;
    throw this.#script.denial ?? new SidecarError('policy-denied', { rule: 'rule-of-rehearsal', detail: DETAIL });
  }

  #isOver(): Promise<never> {
    const { signal } = this.#over;
    return new Promise((_, reject) => {
      // The reason is a `SidecarError`, as the contract has it.
      const leave = (): void => reject(signal.reason as SidecarError);
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave, { once: true });
    });
  }

  #needUnauthorized(doing: string): void {
    if (this.asked.length > 0) this.#refuse(`${doing} after it asked for permission`);
  }

  #refuse(violation: string): never {
    this.violations.push(violation);
    throw new SidecarError('internal', { detail: `the connector ${violation}` });
  }
}

/** Two ends that meet the same fate, as those of a socket do. */
function connected(): [Duplex, Duplex] {
  const [one, other] = duplexPair();
  for (const [end, far] of [
    [one, other],
    [other, one],
  ] as const) {
    end.on('error', () => undefined);
    end.once('close', () => {
      if (!end.writableFinished || far.readableEnded) far.destroy();
      else far.once('end', () => far.destroy());
    });
  }
  return [one, other];
}

/** Notes what is written, as it is passed on: a second reader would take it from the first. */
function record(end: Duplex, into: Buffer[]): void {
  const write = end._write.bind(end);
  end._write = (chunk: Buffer, encoding, callback) => {
    into.push(Buffer.from(chunk));
    write(chunk, encoding, callback);
  };
}
