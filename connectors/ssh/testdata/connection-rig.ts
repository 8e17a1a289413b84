import { once } from 'node:events';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  type Address,
  type Credentials,
  type Facts,
  type Loan,
  type Outcome,
  type Permission,
  type RelayConnection,
  type RelayEnd,
  Secret,
  SidecarError,
} from 'secretless-sidecar/connector';
import { ssh } from '../index.ts';
import type { Config } from '../config.ts';
import type { SshService } from '../service.ts';
import type { SshCredential } from '../upstream/index.ts';

export type Texts = Readonly<Partial<Record<SshCredential, string>>>;

export interface RigService {
  readonly config?: Config;
  /** Asked for at each lease, so that they may change. */
  readonly credentials: () => Texts;
  /** Of a lease that came from a cache: what the providers have now. */
  readonly anew?: () => Texts | undefined;
}

export interface RigOptions {
  readonly services: Readonly<Record<string, RigService>>;
  /** Throws where policy says no. Default: yes. */
  readonly policy?: (facts: Facts, service: string) => void;
  readonly refusal?: SidecarError;
  readonly idleSeconds?: number;
  readonly loginSeconds?: number;
}

/** What became of something that was permitted. */
export interface Admitted {
  readonly service: string;
  readonly agent: string;
  readonly facts: Facts;
  released: boolean;
  ended: boolean;
  outcome?: Outcome | undefined;
}

export interface Led {
  readonly connection: RigConnection;
  readonly end: Promise<RelayEnd>;
}

/** A listener whose connections the connector leads, on real sockets; policy, leases and ledger are the test's. */
export class ConnectionRig {
  readonly hostKey: KeyObject = generateKeyPairSync('ed25519').privateKey;
  readonly options: RigOptions;
  readonly services = new Map<string, SshService>();
  readonly led: Led[] = [];
  readonly admitted: Admitted[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(options: RigOptions) {
    this.options = options;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(options: RigOptions): Promise<ConnectionRig> {
    const rig = new ConnectionRig(options);
    for (const [name, { config = {} }] of Object.entries(options.services)) {
      rig.services.set(name, (await ssh.open(config)) as SshService);
    }
    rig.#server.listen(0, '127.0.0.1');
    await once(rig.#server, 'listening');
    return rig;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What was asked of policy with success, in order. */
  get asked(): string[] {
    return this.admitted.map(({ facts: { ssh } }) => ssh?.request ?? '');
  }

  /** How the last connection ended. */
  get lastEnd(): Promise<RelayEnd> {
    return this.led.at(-1)!.end;
  }

  async stop(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.allSettled(this.led.map(({ end }) => end));
    for (const service of this.services.values()) service.close();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.setNoDelay(true);
    const connection = new RigConnection(this, socket);
    const end = this.services.get(connection.service)!.relay(connection);
    end.catch(() => undefined);
    void end.finally(() => connection.over()).catch(() => undefined);
    this.led.push({ connection, end });
  }
}

/** One connection, with what a sidecar would give it. */
export class RigConnection implements RelayConnection<SshCredential> {
  readonly id = 'c0ffee';
  readonly downstream: Socket;
  readonly headerSeconds = 5;
  readonly ended = new AbortController();
  readonly endSoon = new AbortController();
  readonly dialled: { readonly address: Address; readonly socket: Duplex }[] = [];
  readonly proven: string[] = [];
  readonly warnings: string[] = [];
  /** Codes of what the connector refused by itself. */
  readonly refusals: string[] = [];
  isWorking = false;
  passedBytes = 0;
  service: string;
  agent = 'listener';
  readonly #rig: ConnectionRig;
  #authorized = false;

  constructor(rig: ConnectionRig, downstream: Socket, service = [...rig.services.keys()].sort()[0]!) {
    this.#rig = rig;
    this.downstream = downstream;
    this.service = service;
    downstream.on('error', () => undefined);
    downstream.once('close', () => this.ended.abort(new SidecarError('downstream-closed')));
  }

  get signal(): AbortSignal {
    return this.ended.signal;
  }

  get ending(): AbortSignal {
    return this.endSoon.signal;
  }

  get loginSeconds(): number {
    return this.#rig.options.loginSeconds ?? 10;
  }

  get idleSeconds(): number {
    return this.#rig.options.idleSeconds ?? 0;
  }

  get refusal(): SidecarError | undefined {
    return this.#rig.options.refusal;
  }

  get services(): readonly string[] {
    return [...this.#rig.services.keys()].sort();
  }

  hostKey(): Promise<KeyObject> {
    return Promise.resolve(this.#rig.hostKey);
  }

  prove(agent: string, by: 'key' | 'token'): void {
    if (this.#authorized) throw new Error('too late to prove anything');
    this.agent = agent;
    this.proven.push(`${agent} by ${by}`);
  }

  choose(service: string): SshService | undefined {
    if (this.#authorized) throw new Error('too late to choose');
    this.service = service;
    return this.#rig.services.get(service);
  }

  async authorize(facts: Facts, upstream: (credentials: Credentials<SshCredential>) => string): Promise<Loan<SshCredential>> {
    const admitted = await this.#admit(facts);
    const { credentials: texts } = this.#rig.options.services[this.service]!;
    const loan = loanOf(admitted, texts(), 'first');
    upstream(loan.credentials);
    this.#authorized = true;
    return loan;
  }

  reauthorize(loan: Loan<SshCredential>): Promise<Loan<SshCredential> | undefined> {
    const anew = this.#rig.options.services[this.service]!.anew?.();
    if (anew === undefined) return Promise.resolve(undefined);
    loan.release();
    return Promise.resolve(loanOf(this.#rig.admitted.findLast(({ service }) => service === this.service)!, anew, 'second'));
  }

  async admit(facts: Facts): Promise<Permission> {
    const admitted = await this.#admit(facts);
    return permissionOf(admitted);
  }

  async dial(address: Address, via?: string): Promise<Duplex> {
    if (!this.#authorized) throw new Error('dialled before policy said yes');
    const socket = via === undefined ? await this.#connect(address) : await this.#through(via, address);
    this.dialled.push({ address, socket });
    return socket;
  }

  refused(_: Facts, error: SidecarError): Promise<void> {
    this.refusals.push(error.code);
    return Promise.resolve();
  }

  confirm(): Promise<boolean> {
    return Promise.resolve(false);
  }

  working(): void {
    this.isWorking = true;
  }

  passed(bytes: number): void {
    this.passedBytes += bytes;
  }

  warn(message: string): void {
    this.warnings.push(message);
  }

  over(): void {
    for (const { socket } of this.dialled) socket.destroy();
    this.downstream.destroySoon();
  }

  async #connect(address: Address): Promise<Socket> {
    const socket = 'path' in address ? connect(address.path) : connect(address.port, address.host);
    socket.setNoDelay(true);
    try {
      await once(socket, 'connect');
    } catch (cause) {
      throw new SidecarError('upstream-unreachable', { cause });
    }
    return socket;
  }

  #through(via: string, address: Address): Promise<Duplex> {
    const passage = new RigConnection(this.#rig, this.downstream, via);
    this.signal.addEventListener('abort', () => passage.ended.abort(this.signal.reason));
    return this.#rig.services.get(via)!.reach(passage, address);
  }

  async #admit(facts: Facts): Promise<Admitted> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#rig.options.policy?.(facts, this.service);
    const admitted: Admitted = { service: this.service, agent: this.agent, facts, released: false, ended: false };
    this.#rig.admitted.push(admitted);
    return admitted;
  }
}

function permissionOf(admitted: Admitted): Permission {
  return {
    end: (outcome) => {
      if (admitted.ended) return;
      admitted.ended = true;
      admitted.outcome = outcome;
    },
  };
}

function loanOf(admitted: Admitted, texts: Texts, version: string): Loan<SshCredential> {
  const secrets = new Map(Object.entries(texts).map(([name, text]) => [name, new Secret(text)]));
  const credentials: Credentials<SshCredential> = {
    names: [...secrets.keys()],
    has: (name) => secrets.has(name),
    get: (name) => {
      const secret = secrets.get(name);
      if (secret === undefined) throw new SidecarError('credential-missing', { detail: name });
      return secret;
    },
  };
  const release = (): void => {
    admitted.released = true;
    for (const secret of secrets.values()) secret.wipe();
  };
  return { credentials, version, release, ...permissionOf(admitted) };
}

/** Waits until `holds`, for five seconds at most. */
export async function until(holds: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it did not come to that');
}
