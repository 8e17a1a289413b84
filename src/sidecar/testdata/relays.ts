import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { onTestFinished, vi } from 'vitest';
import type { Config, ServiceConfig } from '../../config/config.ts';
import { defineHttpConnector, defineRelayConnector, defineStreamConnector } from '../../connector/connector.ts';
import { Secret } from '../../credential/secret.ts';
import { SidecarError } from '../../error.ts';
import { toyRelay } from '../../relay/testdata/toy.ts';
import { Type } from '../../schema.ts';
import { client, toyService } from '../../stream/testdata/rig.ts';
import { openLog } from '../../telemetry/log.ts';
import { openMetrics } from '../../telemetry/metrics.ts';
import { Sidecar, type Stores } from '../sidecar.ts';

const described = {
  summary: 'what a test needs',
  config: Type.Object({}),
  credentials: [{ name: 'password', required: true, meaning: 'a password', example: 'x' }],
} as const;

/** One connector of each kind. */
const CONNECTORS = [
  defineRelayConnector({
    ...described,
    kind: 'relay',
    name: 'toy',
    open: (config: { port?: number }) =>
      Promise.resolve(toyRelay({ upstream: () => ({ host: '127.0.0.1', port: config.port ?? 1 }) })),
  }),
  defineHttpConnector({ ...described, kind: 'http', name: 'web', open: () => ({ authenticate: (head) => ({ head }) }) }),
  defineStreamConnector({
    ...described,
    kind: 'stream',
    name: 'flow',
    open: (config: { port?: number }) => toyService(() => config.port ?? 1, { restsAfter: () => false }),
  }),
];

export interface ServiceLine {
  readonly name: string;
  readonly connector: 'toy' | 'web' | 'flow';
  /** Name of its socket in the folder of the rig. */
  readonly socket: string;
  readonly port?: number;
  readonly password?: string;
}

/** A whole sidecar with connectors of each kind, whose stores refuse once they are closed. */
export async function startKinds(first: readonly ServiceLine[], keepAliveSeconds = 5) {
  const folder = mkdtempSync(join(tmpdir(), 'sl-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  let lines = first;
  const stores = { opened: 0, closed: 0 };
  const sidecar = await Sidecar.start({
    version: 'test',
    file: 'kinds.yml',
    stateFolder: folder,
    load: () => configOf(folder, lines, keepAliveSeconds),
    connectors: CONNECTORS,
    openStores: () => openStores(stores),
    log: openLog({ level: 'error', stream: { write: () => undefined } }),
    metrics: openMetrics({ version: 'test' }),
    onStopRequested: () => undefined,
  });
  onTestFinished(() => sidecar.drain());
  return {
    sidecar,
    folder,
    stores,
    reload: async (next: readonly ServiceLine[]) => {
      lines = next;
      await sidecar.reload();
    },
    connect: async (socket: string) => {
      const agent = await client(join(folder, socket));
      const ask = async (line: string): Promise<string> => {
        const before = agent.text().length;
        agent.send(`${line}\n`);
        await vi.waitFor(() => {
          if (!agent.text().slice(before).endsWith('\n')) throw new Error(`no answer to ${line}`);
        });
        return agent.text().slice(before).trimEnd();
      };
      return { ...agent, ask };
    },
    events: () =>
      readFileSync(join(folder, 'ledger.jsonl'), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

function openStores(count: { opened: number; closed: number }): Stores {
  let closed = false;
  count.opened += 1;
  return {
    of: () => ({
      fetch: (id) =>
        closed ? Promise.reject(new SidecarError('credential-unavailable')) : Promise.resolve({ secret: new Secret(id) }),
      close: () => Promise.resolve(),
    }),
    // Revoking what a provider lent takes a moment.
    close: async () => {
      closed = true;
      await pause(100);
      count.closed += 1;
    },
  };
}

function configOf(folder: string, lines: readonly ServiceLine[], keepAliveSeconds: number): Config {
  return {
    services: lines.map((line) => serviceOf(folder, line)),
    providers: {},
    rules: undefined,
    egress: undefined,
    agents: {},
    ledger: { file: join(folder, 'ledger.jsonl'), durability: 'write', rotateBytes: 1e6, keep: 1 },
    control: { socket: join(folder, 'control.sock') },
    telemetry: { listenOn: undefined, log: { level: 'error' } },
    limits: {
      connections: 100,
      headerBytes: 16_384,
      headerSeconds: 5,
      keepAliveSeconds,
      requestSeconds: 0,
      drainSeconds: 0.5,
    },
  };
}

function serviceOf(folder: string, { name, connector, socket, port, password }: ServiceLine): ServiceConfig {
  return {
    name,
    connector,
    listenOn: [{ kind: 'unix', path: join(folder, socket) }],
    agent: 'local',
    credentials: { password: { from: 'literal', get: password ?? 'swordfish' } },
    config: port === undefined ? {} : { port },
    ...(connector === 'web' ? { target: { origin: { scheme: 'http', host: '127.0.0.1', port: 1 }, basePath: '' } } : {}),
    match: [],
    unmatched: 'deny',
    http2: 'auto',
    tls: {},
    timeouts: { connectSeconds: 2, headersSeconds: 2, idleSeconds: 0, credentialSeconds: 2 },
    limits: { upstreamConnections: 100 },
    cacheSeconds: 0,
    socketMode: 0o600,
  };
}
