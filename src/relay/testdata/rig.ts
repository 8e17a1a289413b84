import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { expect, onTestFinished, vi } from 'vitest';
import type { RelayService } from '../../connector/relay.ts';
import { Secret } from '../../credential/secret.ts';
import { openSource } from '../../credential/source.ts';
import type { LedgerEvent } from '../../ledger/event.ts';
import { Policy } from '../../policy/policy.ts';
import type { Rule } from '../../policy/rules.ts';
import { client } from '../../stream/testdata/rig.ts';
import { openLog } from '../../telemetry/log.ts';
import { Tally } from '../../upstream/tally.ts';
import type { RelayBinding, RelayHandler, RelayParts } from '../binding.ts';
import { RelayFront } from '../front.ts';
import { toyRelay } from './toy.ts';

export interface RelayRigOptions {
  readonly rules?: readonly Rule[];
  /** In place of the toy. */
  readonly service?: RelayService;
  /** Services of the address by name; default: `toy`. */
  readonly bindings?: Readonly<Record<string, Partial<RelayBinding>>>;
  /** Services beside it that may be ways. */
  readonly ways?: Readonly<Record<string, Partial<RelayBinding>>>;
  readonly upstream?: (socket: Socket) => void;
  readonly record?: (event: LedgerEvent) => Promise<void>;
  /** Passwords that the provider gives, one a fetch; the last again and again. */
  readonly passwords?: readonly string[];
  readonly cacheSeconds?: number;
  readonly headerSeconds?: number;
  readonly drainSeconds?: number;
}

/** A front on a real listener with a real upstream: everything but the sidecar around it. */
export async function startRelay(options: RelayRigOptions = {}) {
  const events: LedgerEvent[] = [];
  const outcomes: string[] = [];
  const logged: string[] = [];
  const upstreamSockets = new Set<Socket>();
  const upstream = await listen((socket) => {
    upstreamSockets.add(socket);
    socket.on('error', () => undefined).on('close', () => upstreamSockets.delete(socket));
    (options.upstream ?? echoAfterLogin)(socket);
  });
  const leases = { open: 0, fetches: 0 };
  const bind = (name: string, more: Partial<RelayBinding>): RelayBinding => ({
    service: name,
    connector: 'toy',
    principal: { agent: 'local', attested: 'listener' },
    instance: options.service ?? toyRelay({ upstream: () => addressOf(upstream), ...way(more.via) }),
    source: counted(options, name, leases),
    via: undefined,
    connectSeconds: 2,
    loginSeconds: 2,
    idleSeconds: 0,
    upstreamConnections: 100,
    metrics: { ended: (outcome) => void outcomes.push(outcome), recalled: () => undefined },
    ...more,
  });
  const parts = (rules: readonly Rule[] | undefined): RelayParts => ({
    policy: new Policy(rules),
    ledger: {
      record: async (event) => {
        await options.record?.(event);
        events.push(event);
      },
      note: (event) => void events.push(event),
    },
    log: openLog({ level: 'info', stream: { write: (line) => void logged.push(line) } }),
    upstreams,
    confirmations,
    hostKey: () => Promise.resolve(generateKeyPairSync('ed25519').privateKey),
  });
  const upstreams = new Tally();
  const confirmations = new Tally();
  const counts = { running: 0 };
  const made = (
    rules: readonly Rule[] | undefined,
    names = options.bindings ?? { toy: {} },
    beside = options.ways ?? {},
  ): RelayHandler => {
    const bindings = Object.entries(names).map(([name, more]) => bind(name, more));
    const ways = Object.entries(beside).map(([name, more]) => bind(name, more));
    return {
      parts: parts(rules),
      bindings,
      relays: new Map([...bindings, ...ways].map((binding) => [binding.service, binding])),
      enter: () => void (counts.running += 1),
      leave: () => void (counts.running -= 1),
    };
  };
  let handler: RelayHandler | undefined = made(options.rules);
  const limits = { headerSeconds: options.headerSeconds ?? 2, drainSeconds: options.drainSeconds ?? 0.3 };
  const front = new RelayFront('tcp://toy', limits, () => handler);
  const server = await listen((socket) => front.attach(socket), true);
  onTestFinished(() => front.close());
  return {
    front,
    server,
    events,
    outcomes,
    logged,
    leases,
    counts,
    upstreamSockets,
    upstreamPort: addressOf(upstream).port,
    parts: () => handler!.parts,
    /** As a reload does; `false`: the address has no relay services any more. */
    reload: (
      rules: readonly Rule[] | undefined,
      bindings?: RelayRigOptions['bindings'] | false,
      ways?: RelayRigOptions['ways'],
    ) => {
      handler = bindings === false ? undefined : made(rules, bindings, ways);
      front.recheck();
    },
    /** Waits until an event holds this. */
    noted: (expected: object) => vi.waitFor(() => expect(events).toContainEqual(expect.objectContaining(expected))),
    over: () => vi.waitFor(() => expect(counts.running).toBe(0), { timeout: 3000 }),
    connect: async () => {
      const { socket, ...rest } = await client((server.address() as AddressInfo).port);
      /** The answer to one line. */
      const ask = async (line: string): Promise<string> => {
        const before = rest.text().length;
        socket.write(`${line}\n`);
        await vi.waitFor(
          () => {
            if (!rest.text().slice(before).endsWith('\n')) throw new Error(`no answer to ${line}`);
          },
          { interval: 2, timeout: 3000 },
        );
        return rest.text().slice(before).trimEnd();
      };
      return { socket, ask, ...rest };
    },
  };
}

function way(via: string | undefined): { via?: string } {
  return via === undefined ? {} : { via };
}

/** A source that counts the leases it has out. */
function counted(options: RelayRigOptions, service: string, leases: { open: number; fetches: number }) {
  const passwords = options.passwords ?? ['swordfish'];
  const source = openSource({
    service,
    references: { password: { from: 'literal', get: 'password' } },
    store: () => ({
      fetch: () => Promise.resolve({ secret: new Secret(passwords[Math.min(leases.fetches++, passwords.length - 1)]!) }),
      close: () => Promise.resolve(),
    }),
    cacheSeconds: options.cacheSeconds ?? 0,
    timeoutSeconds: 5,
  });
  const lease: typeof source.lease = async (grant, signal) => {
    const held = await source.lease(grant, signal);
    leases.open += 1;
    return { ...held, release: () => ((leases.open -= 1), held.release()) };
  };
  return { lease, forget: (version: string) => source.forget(version), close: () => source.close() };
}

async function listen(accept: (socket: Socket) => void, allowHalfOpen = false): Promise<Server> {
  const server = createServer({ allowHalfOpen }, accept);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return server;
}

function addressOf(server: Server) {
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

function echoAfterLogin(socket: Socket): void {
  socket.once('data', (data) => {
    socket.write(data.toString() === 'swordfish\n' ? 'ok' : 'no');
    socket.on('data', (more) => socket.write(more));
  });
}
