import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import type { Address } from '../../connector/handshake.ts';
import type { Loan, Permission, RelayConnection, RelayEnd, RelayPassage, RelayService } from '../../connector/relay.ts';
import { SidecarError, type ErrorCode } from '../../error.ts';
import type { Facts } from '../../policy/request.ts';

export interface ToyConfig {
  readonly upstream: () => Address;
  /** Service whose upstream is the way. */
  readonly via?: string;
}

/**
 * The toy protocol: the service greets, then each line of the client is one thing that a connector may ask for, and is
 * answered with one line: `ok …` or `error <code>`. The upstream hears the password and echoes.
 */
export function toyRelay(config: ToyConfig): RelayService<'password'> {
  return {
    relay: (connection) => new ToyConversation(connection, config).run(),
    reach: async (passage, address) => {
      const loan = await passage.authorize(asking('jump', { destination: text(address) }), () => 'toy://way');
      const upstream = await passage.dial(config.upstream(), config.via);
      await logIn(upstream, loan);
      return upstream;
    },
  };
}

/** A service that does only this with each connection. */
export function onlyThis(act: (connection: RelayConnection) => Promise<Partial<RelayEnd>>): RelayService {
  return { relay: async (connection) => ({ bytesUp: 0, bytesDown: 0, ...(await act(connection)) }) };
}

export function asking(request: 'login' | 'exec' | 'jump', more: object = {}): Facts {
  return { ssh: { request, ...more } };
}

async function logIn(upstream: Duplex, { credentials }: Loan<'password'>): Promise<void> {
  upstream.write(credentials.get('password').expose((bytes) => Buffer.concat([bytes, Buffer.from('\n')])));
  const [answer] = (await once(upstream, 'data')) as [Buffer];
  if (answer.toString() !== 'ok') throw new SidecarError('credential-refused');
}

function text(address: Address): string {
  return 'path' in address ? address.path : `${address.host}:${address.port}`;
}

class ToyConversation {
  readonly #connection: RelayConnection<'password'>;
  readonly #config: ToyConfig;
  readonly #permissions: Permission[] = [];
  readonly #loans: Loan<'password'>[] = [];
  #bytesUp = 0;

  constructor(connection: RelayConnection<'password'>, config: ToyConfig) {
    this.#connection = connection;
    this.#config = config;
  }

  async run(): Promise<RelayEnd> {
    const { downstream, ending, refusal, signal } = this.#connection;
    if (refusal !== undefined) {
      downstream.end(`refused ${refusal.code}\n`);
      return { error: refusal, bytesUp: 0, bytesDown: 0 };
    }
    downstream.write('toy\n');
    ending.addEventListener('abort', () => downstream.write(`ending ${(ending.reason as SidecarError).code}\n`));
    const lines = createInterface({ input: downstream });
    signal.addEventListener('abort', () => lines.close());
    let end: RelayEnd | undefined;
    for await (const line of lines) {
      this.#bytesUp += line.length + 1;
      end = await this.#answer(line);
      if (end !== undefined) break;
    }
    return { bytesUp: this.#bytesUp, bytesDown: 7, ...end };
  }

  async #answer(line: string): Promise<RelayEnd | undefined> {
    const { downstream } = this.#connection;
    const [word = '', ...rest] = line.split(' ');
    if (word === 'quit') return { bytesUp: this.#bytesUp, bytesDown: 7, ...toEnd(rest[0]) };
    if (word === 'throw') throw new Error('the toy broke');
    try {
      downstream.write(`ok ${await this.#do(word, rest)}\n`);
    } catch (thrown) {
      const code = thrown instanceof SidecarError ? thrown.code : String(thrown);
      if (!downstream.destroyed) downstream.write(`error ${code}\n`);
    }
    return undefined;
  }

  async #do(word: string, [first = '', ...rest]: string[]): Promise<string> {
    const connection = this.#connection;
    switch (word) {
      case 'who':
        return [connection.service, connection.agent, connection.services.join(',')].join(' ');
      case 'prove':
        connection.prove(first, 'key');
        return connection.agent;
      case 'choose':
        return String(connection.choose(first) !== undefined);
      case 'login':
        this.#loans.push(await connection.authorize(asking('login', { user: first }), () => 'toy://up'));
        return 'login';
      case 'relogin':
        return this.#relogin(Number(first));
      case 'release':
        this.#loans[Number(first)]!.release();
        return 'released';
      case 'logout':
        this.#loans[Number(first)]!.end(outcome(rest));
        return 'out';
      case 'run':
        return `${this.#permissions.push(await connection.admit(asking('exec', { command: [first, ...rest].join(' ') })))}`;
      case 'end':
        this.#permissions[Number(first) - 1]!.end(outcome(rest));
        return 'ended';
      case 'refuse':
        await connection.refused(asking('exec', { command: first }), new SidecarError('policy-denied', { detail: 'toy' }));
        return 'refused';
      case 'dial':
        return this.#dial(connection, first === '' ? undefined : first);
      case 'working':
        connection.working();
        return 'working';
      case 'confirm':
        return String(await connection.confirm([first, ...rest], 'May it?\u202e\n', 0.5));
      case 'key':
        return (await connection.hostKey()).asymmetricKeyType!;
      default:
        throw new SidecarError('downstream-protocol');
    }
  }

  async #relogin(at: number): Promise<string> {
    const loan = await this.#connection.reauthorize(this.#loans[at]!);
    return loan === undefined ? 'none' : `another ${this.#loans.push(loan) - 1}`;
  }

  async #dial(passage: RelayPassage<'password'>, via: string | undefined): Promise<string> {
    const upstream = await passage.dial(this.#config.upstream(), via);
    const loan = this.#loans.at(-1);
    if (loan !== undefined && via === undefined) await logIn(upstream, loan);
    upstream.write('echo');
    const [answer] = (await once(upstream, 'data')) as [Buffer];
    return `dialled ${answer.toString()}`;
  }
}

function outcome([status, up, down]: readonly string[]) {
  if (up === undefined) return undefined;
  return { status: Number(status), bytesUp: Number(up), bytesDown: Number(down) };
}

function toEnd(code: string | undefined): { error?: SidecarError } {
  return code === undefined ? {} : { error: new SidecarError(code as ErrorCode) };
}
