import { mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync, readdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { startSidecar } from '../src/main.ts';
import type { Sidecar } from '../src/sidecar/sidecar.ts';
import { openLog } from '../src/telemetry/log.ts';
import { keepArtefact } from './canary.ts';

/** A folder that is gone after the test. Short: Unix socket paths have 107 bytes. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sl-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface Rig {
  readonly sidecar: Sidecar;
  readonly folder: string;
  readonly file: string;
  /** Log lines so far. */
  readonly log: readonly Record<string, unknown>[];
  /** Port of the listener of a service. */
  port(service: string): number;
  /** Address of the telemetry listener. */
  telemetry(): string;
  /** Events of one type in the ledger file. */
  events(type?: string): Record<string, unknown>[];
  /** Replaces the file and reloads. */
  rewrite(yaml: string): Promise<void>;
}

/**
 * A whole sidecar in this process, from a configuration text. `services` etc. as in secretless.yml; telemetry gets a
 * free port where the text does not say. Drained after the test; its log, ledger and metrics go to the leak sweep.
 */
export async function startRig(yaml: string, env: Record<string, string> = {}): Promise<Rig> {
  const folder = temporaryFolder();
  const file = join(folder, 'secretless.yml');
  writeFileSync(file, complete(yaml), { mode: 0o600 });
  // The provider `env` reads the environment of the process, as it does in the product.
  for (const [name, value] of Object.entries(env)) process.env[name] = value;
  onTestFinished(() => {
    for (const name of Object.keys(env)) delete process.env[name];
  });
  const log: Record<string, unknown>[] = [];
  const lines: string[] = [];
  const stream = {
    write: (line: string): void => {
      lines.push(line);
      log.push(JSON.parse(line) as Record<string, unknown>);
    },
  };
  const sidecar = await startSidecar({
    file,
    env: { PATH: process.env['PATH'], HOME: folder, SECRETLESS_HOME: folder, ...env },
    log: openLog({ level: 'debug', stream }),
    onStopRequested: () => void sidecar.drain(),
  });
  const rig: Rig = {
    sidecar,
    folder,
    file,
    log,
    port: (service) => {
      const { address } = sidecar.status().listeners.find(({ services }) => services.includes(service))!;
      return Number(address.slice(address.lastIndexOf(':') + 1));
    },
    telemetry: () => sidecar.status().telemetry.address!.replace('tcp:', 'http:'),
    events: (type) => readEvents(folder).filter((event) => type === undefined || event['type'] === type),
    rewrite: async (text) => {
      writeFileSync(file, complete(text), { mode: 0o600 });
      await sidecar.reload();
    },
  };
  onTestFinished(async () => {
    // A test may have drained it already.
    const metrics = await fetch(`${rig.telemetry()}/metrics`).catch(() => undefined);
    keepArtefact('metrics', (await metrics?.text()) ?? '');
    keepArtefact('status', JSON.stringify(sidecar.status()));
    await sidecar.drain();
    keepArtefact('log', lines.join(''));
    keepArtefact('ledger', readFileSync(join(folder, 'ledger.jsonl')));
  });
  return rig;
}

function complete(yaml: string): string {
  const version = /^version:/m.test(yaml) ? '' : 'version: "2"\n';
  const telemetry = /^telemetry:/m.test(yaml) ? '' : 'telemetry: { listenOn: tcp://127.0.0.1:0 }\n';
  const limits = /^limits:/m.test(yaml) ? '' : 'limits: { drain: 2s }\n';
  return `${version}${yaml}\n${telemetry}${limits}`;
}

function readEvents(folder: string): Record<string, unknown>[] {
  const files = readdirSync(folder).filter((name) => /^ledger\.jsonl(\.\d+)?$/.test(name));
  const text = files.map((name) => readFileSync(join(folder, name), 'utf8')).join('');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

export interface TestUpstream {
  readonly port: number;
  readonly server: Server;
  /** Requests in order of arrival. */
  readonly requests: IncomingMessage[];
}

/** A real HTTP upstream on loopback; `answer` defaults to 200 with a small body. */
export async function startUpstream(answer?: RequestListener): Promise<TestUpstream> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    if (answer !== undefined) return answer(request, response);
    request.resume();
    request.on('end', () => response.end('hello'));
  });
  const port = await listening(server);
  return { port, server, requests };
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

export interface RawAnswer {
  readonly text: string;
  readonly status: number;
  /** By lower-case name; the last wins. */
  readonly headers: Readonly<Record<string, string>>;
  /** What follows the head, undecoded. */
  readonly body: string;
}

/** Writes bytes to a port, reads until the other side closes, keeps what came for the leak sweep. */
export function exchangeRaw(port: number, bytes: string | Uint8Array, waitMs = 5000): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.setTimeout(waitMs, () => socket.destroy());
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
    socket.on('close', () => {
      const received = Buffer.concat(chunks);
      keepArtefact('downstream', received);
      resolve(parseAnswer(received.toString('latin1')));
    });
  });
}

/** One request on a connection of its own. `head` is the request line and fields without the last blank line. */
export function ask(port: number, head: string, body = ''): Promise<RawAnswer> {
  const lines = head.includes('\n') ? head.replaceAll(/\r?\n/g, '\r\n') : `${head} HTTP/1.1`;
  const host = /^host:/im.test(lines) ? '' : '\r\nHost: localhost';
  return exchangeRaw(port, `${lines}${host}\r\nConnection: close\r\n\r\n${body}`);
}

function parseAnswer(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n');
  const lines = text.slice(0, Math.max(end, 0)).split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { text, status: Number(lines[0]?.split(' ')[1] ?? 0), headers, body: end < 0 ? '' : text.slice(end + 4) };
}

/** True once `file` exists. */
export function exists(file: string): boolean {
  return existsSync(file);
}

/** Polls until `condition` holds; fails after five seconds. For what no event announces. */
export async function eventually(condition: () => boolean | Promise<boolean>, what = 'condition'): Promise<void> {
  const until = Date.now() + 5000;
  while (!(await condition())) {
    if (Date.now() > until) throw new Error(`${what} did not come true`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
