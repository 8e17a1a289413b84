import { readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { verifyLedger } from '../src/ledger/verify.ts';
import { canary } from './canary.ts';
import {
  freePorts,
  KeptConnection,
  ledgerLines,
  startProcess,
  stateFolder,
  type Door,
  type ProcessRig,
} from './process-rig.ts';

/** Instants at which the sidecar is killed under load; a few more fall into its start. */
const KILLS = Number(process.env['SECRETLESS_KILLS'] ?? 200);
const KILLS_IN_START = Math.ceil(KILLS / 10);
/** Sidecars that live and die beside each other: one start needs about one core. */
const LANES = 3;
/** Lives on one chain before a new folder, so that verifying stays cheap. */
const LIVES = 10;
const CONNECTIONS = 6;
/** Accepted uses within one life, at most. */
const USES_MAX = 200;
const START_MS_MAX = 700;

interface Count {
  instants: number;
  accepted: number;
  inLedger: number;
  readonly missing: string[];
  /** Uses that went out with a wrong credential or none. */
  bare: number;
}

interface UseUpstream {
  readonly server: Server;
  readonly port: number;
  /** Paths of the uses accepted, in order. */
  readonly accepted: string[];
  /** Called at the moment a use is accepted, with the number of uses in this life. */
  onUse: (count: number) => void;
  /** Resolves when nothing that the sidecar sent is still on its way. */
  quiet(): Promise<void>;
}

async function openUseUpstream(token: string, count: Count): Promise<UseUpstream> {
  const sockets = new Set<Socket>();
  const accepted: string[] = [];
  const server = createServer((request, response) => {
    if (request.headers['x-api-key'] !== token) count.bare += 1;
    accepted.push(request.url!);
    upstream.onUse(accepted.length);
    request.resume().on('end', () => response.end('ok'));
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const quiet = async (): Promise<void> => {
    while (sockets.size > 0) await Promise.all([...sockets].map((socket) => once(socket, 'close')));
  };
  const { port } = server.address() as AddressInfo;
  const upstream: UseUpstream = { server, port, accepted, onUse: () => undefined, quiet };
  return upstream;
}

function configuration(folder: string, port: number, upstream: number): string {
  return `
services:
  api:
    connector: http
    listenOn: [tcp://127.0.0.1:${port}, "unix://${folder}/api.sock"]
    target: http://127.0.0.1:${upstream}
    credentials: { token: { from: env, get: API_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
ledger: { rotate: 64KiB, keep: 500 }
telemetry: { listenOn: off }
`;
}

let serial = 0;

/** Sends one request after the other, each with a path of its own, until the connection breaks. */
async function load(door: Door): Promise<void> {
  const connection = new KeptConnection(door);
  try {
    for (;;) {
      serial += 1;
      const body = serial % 3 === 0 ? { method: 'POST', body: 'x'.repeat(serial % 2000) } : {};
      await connection.ask(`/use/${serial}`, body);
    }
  } catch {
    connection.close();
  }
}

/** Lives once: started, put under load, killed at a random instant. Returns the paths that the upstream accepted. */
async function live(rig: ProcessRig, doors: readonly Door[], upstream: UseUpstream): Promise<string[]> {
  upstream.accepted.length = 0;
  const instant = 1 + Math.floor(Math.random() * USES_MAX);
  const kill = (): void => void rig.child.kill('SIGKILL');
  upstream.onUse = (uses) => {
    if (uses !== instant) return;
    // Half of them at the very moment of a use, the others a little later.
    if (Math.random() < 0.5) kill();
    else setTimeout(kill, Math.random() * 5);
  };
  await rig.ready();
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, at) => load(doors[at % doors.length]!)));
  await rig.ended;
  await upstream.quiet();
  return [...upstream.accepted];
}

/** Kills it before, while or just after it gets ready. */
async function dieInStart(rig: ProcessRig): Promise<string[]> {
  const timer = setTimeout(() => rig.child.kill('SIGKILL'), Math.random() * START_MS_MAX);
  await rig.ended;
  clearTimeout(timer);
  return [];
}

/** Paths that were accepted and of which the ledger holds no permission. */
function missingUses(accepted: readonly string[], folder: string): string[] {
  const decided = ledgerLines(folder).filter(({ type, result }) => type === 'decision' && result === 'allow');
  const paths = new Set(decided.map(({ path }) => path));
  return accepted.filter((path) => !paths.has(path));
}

/** Only a process that ends in order leaves its compiled code for the next one. */
async function warmUp(): Promise<void> {
  const folder = stateFolder();
  const rig = startProcess(configuration(folder, 0, 9), { folder });
  await rig.ready();
  await rig.end();
}

/** One chain, over `LIVES` lives and a last one that ends in order. */
async function chain(count: Count, takeInstant: () => 'load' | 'start' | undefined): Promise<void> {
  const token = canary();
  const upstream = await openUseUpstream(token, count);
  const folder = stateFolder();
  const [port] = await freePorts(1);
  const yaml = configuration(folder, port!, upstream.port);
  const start = (): ProcessRig => startProcess(yaml, { folder, env: { API_TOKEN: token } });
  const used: string[] = [];
  for (let life = 0; life < LIVES; life += 1) {
    const kind = takeInstant();
    if (kind === undefined) break;
    const rig = start();
    used.push(...(kind === 'load' ? await live(rig, [port!, `${folder}/api.sock`], upstream) : await dieInStart(rig)));
    expect(await rig.ended).toEqual({ code: null, signal: 'SIGKILL' });
    // Killed early in its first start, it has no ledger yet.
    if (ledgerLines(folder).length === 0) continue;
    const report = await verifyLedger(join(folder, 'ledger.jsonl'));
    expect(report.problems, `life ${life}, killed in ${kind}`).toEqual([]);
  }
  const last = start();
  await last.ready();
  expect(await last.end()).toEqual({ code: 0, signal: null });
  // The restarted sidecar went on with the same chain: nothing of the lives before is gone.
  expect(await verifyLedger(join(folder, 'ledger.jsonl'))).toMatchObject({ ok: true, first: 1, tornBytes: 0 });
  const missing = missingUses(used, folder);
  count.accepted += used.length;
  count.inLedger += used.length - missing.length;
  count.missing.push(...missing);
}

test(
  `kill -9 at ${KILLS} random instants under load: every use that the upstream accepted is in the ledger, and the chain goes on`,
  async () => {
    const count: Count = { instants: 0, accepted: 0, inLedger: 0, missing: [], bare: 0 };
    let inStart = 0;
    const takeInstant = (): 'load' | 'start' | undefined => {
      if (inStart * 10 < count.instants && inStart < KILLS_IN_START) {
        inStart += 1;
        return 'start';
      }
      if (count.instants >= KILLS) return undefined;
      count.instants += 1;
      return 'load';
    };
    const lane = async (): Promise<void> => {
      while (count.instants < KILLS) await chain(count, takeInstant);
    };
    await warmUp();
    await Promise.all(Array.from({ length: LANES }, lane));
    process.stdout.write(
      `kill -9: ${count.instants} instants, ${count.accepted} uses accepted, ${count.inLedger} in the ledger, ${count.missing.length} missing\n`,
    );
    expect(count.missing).toEqual([]);
    expect(count.bare).toBe(0);
    expect(count.instants).toBe(KILLS);
    expect(count.accepted).toBeGreaterThanOrEqual(KILLS);
  },
  120_000 + KILLS * 2_000,
);

test('a use that the ledger does not hold is found missing, and the cut breaks the chain', async () => {
  const count: Count = { instants: 0, accepted: 0, inLedger: 0, missing: [], bare: 0 };
  const token = canary();
  const upstream = await openUseUpstream(token, count);
  const folder = stateFolder();
  const [port] = await freePorts(1);
  const rig = startProcess(configuration(folder, port!, upstream.port), { folder, env: { API_TOKEN: token } });
  const used = await live(rig, [port!], upstream);
  expect(missingUses(used, folder)).toEqual([]);
  const file = join(folder, 'ledger.jsonl');
  const lines = readFileSync(file, 'utf8').split('\n');
  const at = lines.findIndex((line) => line.includes('"decision"'));
  const [cut] = lines.splice(at, 1);
  writeFileSync(file, lines.join('\n'));
  expect(missingUses(used, folder)).toEqual([(JSON.parse(cut!) as { path: string }).path]);
  expect((await verifyLedger(file)).ok).toBe(false);
});
