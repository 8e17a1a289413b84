import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import stock, { type AuthContext, type ClientErrorExtensions, type ConnectConfig, type ServerConfig } from 'ssh2';
import { acceptSsh, loginSsh, type AcceptOptions, type ClientLeg, type LoginOptions, type ServerLeg, type SshError } from '../index.ts';

/** What happened to a connection of ours or of ssh2's: logged in, or why not. */
export type Outcome = 'in' | string;

export const ourHostKey = generateKeyPairSync('ed25519').privateKey;
/** ssh2 reads no PKCS#8 of ed25519. */
const stockHostKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'sec1', format: 'pem' }) as string;

export interface Listening {
  readonly port: number;
  readonly stop: () => void;
}

async function listen(take: (socket: Socket) => void): Promise<Listening> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    take(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: (server.address() as AddressInfo).port, stop };
}

export interface OurServer extends Listening {
  readonly legs: ServerLeg[];
  readonly failures: SshError[];
}

/** Our leg towards the downstream; it lets everyone in that proves itself, and answers nothing. */
export async function ourServer(
  options: Partial<AcceptOptions> = {},
  take: (leg: ServerLeg) => void = (leg) => leg.accept().attach({ message: () => undefined, drained: () => undefined }),
): Promise<OurServer> {
  const legs: ServerLeg[] = [];
  const failures: SshError[] = [];
  const listening = await listen((socket) => {
    socket.setNoDelay(true);
    acceptSsh(socket, { ident: 'ours', hostKey: ourHostKey, identity: { kind: 'none' }, ...options }).then(
      (leg) => {
        legs.push(leg);
        take(leg);
      },
      (error: unknown) => failures.push(error as SshError),
    );
  });
  return { ...listening, legs, failures };
}

/** The server of ssh2 as it is published. */
export async function stockServer(
  config: Partial<ServerConfig> = {},
  authenticate: (context: AuthContext) => void = (context) => context.accept(),
): Promise<Listening> {
  const server = new stock.Server({ hostKeys: [stockHostKey], ...config }, (client) => {
    client.on('authentication', authenticate);
    client.on('error', () => undefined);
    client.on('session', (accept) => {
      const session = accept();
      session.on('exec', (take, _reject, { command }) => {
        const channel = take();
        channel.write(String(command.length));
        channel.exit(0);
        channel.end();
      });
    });
  });
  return listen((socket) => server.injectSocket(socket));
}

/** The client of ssh2 as it is published. */
export function stockLogin(port: number, config: ConnectConfig = {}): Promise<Outcome> {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const client = new stock.Client();
  client.once('ready', () => (resolve('in'), client.end()));
  // One key of several that cannot sign is no end.
  client.on('error', (error: Error & ClientErrorExtensions) => {
    if (error.level !== 'agent') resolve(error.message);
  });
  client.once('close', () => resolve('closed'));
  client.connect({ host: '127.0.0.1', port, username: 'someone', readyTimeout: 8000, ...config });
  return promise;
}

export function ourLogin(port: number, options: Partial<LoginOptions> = {}): Promise<ClientLeg> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true);
  const auth = options.auth ?? [{ method: 'publickey', key: nobodysKey() }];
  return loginSsh(socket, { ident: 'ours', user: 'someone', hostKeyCheck: () => true, ...options, auth });
}

export function faultOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'in',
    (error: unknown) => (error as SshError).fault,
  );
}

function nobodysKey(): Parameters<typeof loginSsh>[1]['auth'][number] extends infer Way ? (Way extends { key: infer Key } ? Key : never) : never {
  return { blob: Buffer.from('x'), algorithms: [{ request: 'ssh-ed25519', signature: 'ssh-ed25519' }], sign: () => Promise.resolve(Buffer.alloc(64)) };
}

/** Stands in between and may change what passes, a chunk at a time. */
export async function between(
  port: number,
  change: { up?: (chunk: Buffer, nth: number) => Buffer; down?: (chunk: Buffer, nth: number) => Buffer },
): Promise<Listening> {
  return listen((client) => {
    const server = connect(port, '127.0.0.1').setNoDelay(true);
    server.on('error', () => undefined);
    let up = 0;
    let down = 0;
    client.on('data', (chunk: Buffer) => server.write(change.up?.(chunk, up++) ?? chunk));
    server.on('data', (chunk: Buffer) => client.write(change.down?.(chunk, down++) ?? chunk));
    client.on('close', () => server.destroy());
    server.on('close', () => client.destroy());
  });
}

export function pem(key: KeyObject): string {
  return key.export({ type: key.asymmetricKeyType === 'rsa' ? 'pkcs1' : 'sec1', format: 'pem' }) as string;
}
