import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Credentials,
  type Facts,
  type Loan,
  type Outcome,
  type RelayConnection,
  type RelayEnd,
  type RelayService,
  Secret,
  SidecarError,
} from 'secretless-sidecar/connector';
import { credentialsOf } from 'secretless-sidecar/connector/testing';
import { sshAgent } from '../index.ts';
import type { SshAgentConfig } from '../config.ts';
import { messagesOf } from '../frames.ts';

/** One loan, from `authorize` to its end. */
export interface Asked {
  readonly facts: Facts;
  readonly upstream: string;
  released: boolean;
  outcome?: Outcome | 'none';
}

/**
 * The connector on a Unix socket, as the sidecar would run it: each loan has credentials of its own, which are
 * overwritten once they are given back.
 */
export class ServedAgent {
  readonly folder = mkdtempSync(join(tmpdir(), 'ssh-agent-'));
  readonly path = join(this.folder, 'agent.sock');
  readonly asked: Asked[] = [];
  readonly questions: { readonly program: readonly string[]; readonly question: string; readonly seconds: number }[] = [];
  readonly warnings: string[] = [];
  /** What it refused by itself, for the ledger. */
  readonly refusals: { readonly facts: Facts; readonly code: string }[] = [];
  readonly ends: RelayEnd[] = [];
  readonly ending = new AbortController();
  readonly killing = new AbortController();
  readonly service: RelayService;
  credentials: Readonly<Record<string, string>>;
  /** Policy and provider: what it throws, `authorize` throws. */
  allows: (facts: Facts) => boolean | Promise<boolean> = () => true;
  versionOf = (values: Readonly<Record<string, string>>): string =>
    createHash('sha256').update(JSON.stringify(Object.entries(values))).digest('hex');
  answer: (question: string) => boolean | Promise<boolean> = () => true;
  options: Partial<Pick<RelayConnection, 'headerSeconds' | 'idleSeconds' | 'refusal'>> = {};
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(service: RelayService, credentials: Readonly<Record<string, string>>) {
    this.service = service;
    this.credentials = credentials;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      void this.service.relay(this.#connectionOf(socket)).then((end) => this.ends.push(end));
    });
  }

  static async start(credentials: Readonly<Record<string, string>>, config: SshAgentConfig = {}): Promise<ServedAgent> {
    const agent = new ServedAgent(await sshAgent.open(config), credentials);
    await new Promise<void>((done) => agent.#server.listen(agent.path, done));
    return agent;
  }

  /** Facts of what was asked for, in order. */
  get facts(): readonly unknown[] {
    return this.asked.map(({ facts }) => facts.ssh);
  }

  /** Facts of the signatures alone. */
  get signed(): readonly unknown[] {
    return this.asked.filter(({ facts }) => facts.ssh?.request !== 'keys').map(({ facts }) => facts.ssh);
  }

  client(): Promise<AgentClient> {
    return AgentClient.connect(this.path);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
    this.service.close?.();
    rmSync(this.folder, { recursive: true, force: true });
  }

  #connectionOf(downstream: Socket): RelayConnection {
    const unasked = async (): Promise<never> => Promise.reject(new Error('not for an agent'));
    return {
      id: 'c0ffee',
      service: 'keys',
      agent: 'builder',
      signal: this.killing.signal,
      loginSeconds: 5,
      headerSeconds: 5,
      idleSeconds: 0,
      downstream,
      ending: this.ending.signal,
      refusal: undefined,
      services: ['keys'],
      ...this.options,
      authorize: (facts, upstream) => this.#lend(facts, upstream),
      confirm: async (program, question, seconds) => {
        this.questions.push({ program, question, seconds });
        return this.answer(question);
      },
      refused: async (facts, error) => void this.refusals.push({ facts, code: error.code }),
      warn: (message) => void this.warnings.push(message),
      passed: () => undefined,
      working: () => undefined,
      hostKey: async () => generateKeyPairSync('ed25519').privateKey,
      prove: () => undefined,
      choose: () => undefined,
      reauthorize: unasked,
      dial: unasked,
      admit: unasked,
    };
  }

  async #lend(facts: Facts, upstream: (credentials: Credentials) => string): Promise<Loan> {
    if (!(await this.allows(facts))) throw new SidecarError('policy-denied', { rule: 'no' });
    const credentials = credentialsOf(this.credentials);
    const asked: Asked = { facts, upstream: upstream(credentials), released: false };
    this.asked.push(asked);
    return {
      credentials,
      version: this.versionOf(this.credentials),
      release: () => {
        asked.released = true;
        for (const name of credentials.names) credentials.get(name).wipe();
      },
      end: (outcome) => void (asked.outcome ??= outcome ?? 'none'),
    };
  }
}

/** Speaks to an agent message by message. */
export class AgentClient {
  readonly socket: Socket;
  readonly #answers: AsyncGenerator<Buffer, void>;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#answers = messagesOf(socket);
  }

  static async connect(path: string): Promise<AgentClient> {
    const socket = connect(path);
    await new Promise<void>((done, failed) => socket.once('connect', done).once('error', failed));
    return new AgentClient(socket);
  }

  send(message: Buffer): void {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(message.length);
    this.socket.write(Buffer.concat([length, message]));
  }

  /** The next answer without its length; undefined where the agent has closed. */
  async hear(): Promise<Buffer | undefined> {
    const { value } = await this.#answers.next();
    return value ?? undefined;
  }

  async say(message: Buffer): Promise<Buffer | undefined> {
    this.send(message);
    return this.hear();
  }

  /** Number of the answer. */
  async ask(message: Buffer): Promise<number | undefined> {
    return (await this.say(message))?.[0];
  }

  /** Waits until the agent has closed. */
  async closed(): Promise<void> {
    if (!this.socket.destroyed) {
      this.socket.resume();
      await new Promise((done) => this.socket.once('close', done));
    }
  }
}

/** PKCS#8 of a new key: OpenSSH's tools are not needed. */
export function pemOf(type: 'ed25519' | 'rsa' = 'ed25519', modulusLength = 2048): string {
  const pair = type === 'rsa' ? generateKeyPairSync('rsa', { modulusLength }) : generateKeyPairSync('ed25519');
  return pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

export function secretOf(text: string): Secret {
  return new Secret(text);
}
