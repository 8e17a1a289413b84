import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { connectors } from '../connectors/index.ts';
import type { Connector, HttpConnector, HttpService } from '../src/connector/connector.ts';
import { loadConfig } from '../src/config/load.ts';
import type { Config } from '../src/config/config.ts';
import { compileUrlPattern } from '../src/http/match.ts';
import { storesOf } from '../src/main.ts';
import { checkRules } from '../src/policy/compile.ts';
import { providers } from '../src/providers/index.ts';
import { Type } from '../src/schema.ts';
import { Sidecar } from '../src/sidecar/sidecar.ts';
import { openLog } from '../src/telemetry/log.ts';
import { openMetrics, type Metrics } from '../src/telemetry/metrics.ts';
import { canary, keepArtefact } from './canary.ts';
import { eventually, temporaryFolder } from './rig.ts';

/** A whole sidecar with a connector that a test wrote, as service `probe`. */
export interface ProbeRig {
  readonly port: number;
  /** The credential `token`; `rotate` makes the provider hold another. */
  readonly token: string;
  readonly rotate: () => string;
  readonly log: readonly Record<string, unknown>[];
  readonly events: (type?: string) => Record<string, unknown>[];
  readonly metrics: () => Promise<string>;
}

export interface ProbeOptions {
  /** More keys of the service, one YAML line each. */
  readonly service?: readonly string[];
  /** More services on the same address, each with its lines. */
  readonly beside?: Readonly<Record<string, readonly string[]>>;
  /** More top-level lines. */
  readonly top?: readonly string[];
}

/** The connector `probe`, whose one instance is `service`. */
export async function startProbe(service: HttpService, options: ProbeOptions = {}): Promise<ProbeRig> {
  const folder = temporaryFolder();
  const secret = join(folder, 'secret');
  const token = canary();
  writeFileSync(secret, token);
  const own = ['connector: probe', `credentials: { token: { from: exec, get: "cat ${secret}" } }`];
  const services = { probe: [...own, ...(options.service ?? [])], ...options.beside };
  const yaml = yamlOf(services, options.top ?? []);
  const log: Record<string, unknown>[] = [];
  const { sidecar, metrics } = await start(yaml, [probe(service), ...connectors], folder, log);
  const { address } = sidecar.status().listeners.find((listener) => listener.services.includes('probe'))!;
  return {
    port: Number(address.slice(address.lastIndexOf(':') + 1)),
    token,
    rotate: () => {
      const next = canary();
      writeFileSync(secret, next);
      return next;
    },
    log,
    events: (type) => eventsIn(folder).filter((event) => type === undefined || event['type'] === type),
    metrics: async () => (await metrics.scrape()).text,
  };
}

function probe(service: HttpService): HttpConnector {
  return {
    kind: 'http',
    name: 'probe',
    summary: 'what a test needs',
    routes: true,
    config: Type.Object({}, { additionalProperties: false }),
    credentials: [{ name: 'token', required: true, meaning: 'a token', example: 'x' }],
    open: () => service,
  };
}

function yamlOf(services: Readonly<Record<string, readonly string[]>>, top: readonly string[]): string {
  const lines = Object.entries(services).flatMap(([name, each]) => [
    `  ${name}:`,
    '    listenOn: tcp://127.0.0.1:0',
    ...each.map((line) => `    ${line}`),
  ]);
  const head = ['version: "2"', 'telemetry: { listenOn: tcp://127.0.0.1:0 }', 'limits: { drain: 2s }'];
  return [...head, 'services:', ...lines, ...top].join('\n');
}

async function start(
  yaml: string,
  own: readonly Connector[],
  folder: string,
  log: Record<string, unknown>[],
): Promise<{ sidecar: Sidecar; metrics: Metrics }> {
  const metrics = openMetrics({ version: 'test' });
  const lines: string[] = [];
  const write = (line: string): void => {
    lines.push(line);
    log.push(JSON.parse(line) as Record<string, unknown>);
  };
  const sidecar = await Sidecar.start({
    version: 'test',
    file: 'probe.yml',
    load: () => configOf(yaml, own, folder),
    stateFolder: folder,
    connectors: own,
    openStores: storesOf,
    log: openLog({ level: 'debug', stream: { write } }),
    metrics,
    onStopRequested: () => undefined,
  });
  onTestFinished(async () => {
    await eventually(
      () => sidecar.status().listeners.every(({ connections }) => connections === 0),
      'a sidecar without connections',
    ).finally(() => sidecar.drain());
    keepArtefact('log', lines.join(''));
    keepArtefact('ledger', readFileSync(join(folder, 'ledger.jsonl')));
  });
  return { sidecar, metrics };
}

function configOf(yaml: string, own: readonly Connector[], folder: string): Config {
  const { config, problems } = loadConfig(yaml, {
    file: 'probe.yml',
    environment: { SECRETLESS_HOME: folder },
    home: folder,
    catalog: { connectors: own, providers },
    checkPattern: compileUrlPattern,
    checkRules,
  });
  const wrong = problems.filter(({ severity }) => severity === 'error');
  if (config === undefined || wrong.length > 0) throw new Error(wrong.map(({ message }) => message).join('; '));
  return config;
}

function eventsIn(folder: string): Record<string, unknown>[] {
  const lines = readFileSync(join(folder, 'ledger.jsonl'), 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>);
}
