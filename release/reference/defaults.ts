import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatListenAddress, type Config } from '../../src/config/config.ts';
import { readConfig } from '../../src/main.ts';

/** A file that says nothing it need not say. */
const LEAST = `version: '2'
services:
  one:
    connector: http
    listenOn: tcp://127.0.0.1:8081
    target: https://api.example.com
    credentials: { token: { from: env, get: TOKEN } }
    config: { headers: { Authorization: '{{ .token }}' } }
  two:
    connector: postgres
    listenOn: tcp://127.0.0.1:5432
    credentials: { host: db.example.com, username: app }
egress:
  listenOn: tcp://127.0.0.1:3128
`;

/** What the sidecar takes where a file is silent, by key: read from a file that is. */
export function defaults(): ReadonlyMap<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'sl-'));
  try {
    const file = join(folder, 'secretless.yml');
    writeFileSync(file, LEAST, { mode: 0o600 });
    const { config, problems } = readConfig(file, { HOME: folder, SECRETLESS_HOME: folder });
    if (config === undefined) throw new Error(`the file of the defaults does not load: ${JSON.stringify(problems)}`);
    return new Map([...ofServices(config), ...ofEgress(config), ...ofTheRest(config, folder)]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function ofServices({ services: [http, stream] }: Config): [string, string][] {
  const { timeouts, limits } = http!;
  const of = (key: string, value: string): [string, string] => [`services.<name>.${key}`, value];
  const idle = stream!.timeouts.idleSeconds === 0 ? 'streams: no limit' : duration(stream!.timeouts.idleSeconds);
  const upstream = Number.isFinite(stream!.limits.upstreamConnections) ? 'the same' : 'no limit';
  return [
    of('agent', code(http!.agent)),
    of('unmatched', code(http!.unmatched)),
    of('http2', code(http!.http2)),
    of('tls.ca', 'the system’s'),
    of('tls.servername', 'the host'),
    of('timeouts.connect', duration(timeouts.connectSeconds)),
    of('timeouts.headers', duration(timeouts.headersSeconds)),
    of('timeouts.idle', `${duration(timeouts.idleSeconds)}; ${idle}`),
    of('timeouts.credential', duration(timeouts.credentialSeconds)),
    of('limits.connections', `${code(String(limits.upstreamConnections))}; streams: ${upstream}`),
    of('limits.body', limits.bodyBytes === undefined ? 'no limit' : size(limits.bodyBytes)),
    of('cache', http!.cacheSeconds === 0 ? 'none' : duration(http!.cacheSeconds)),
    of('socketMode', mode(http!.socketMode)),
  ];
}

function ofEgress({ egress }: Config): [string, string][] {
  const { mode: way, unmatched, ca, socketMode, agent } = egress!;
  return [
    ['egress.mode', code(way)],
    ['egress.unmatched', code(unmatched)],
    ['egress.ca.store', code(ca.store)],
    ['egress.ca.names', ca.names.length === 0 ? 'any' : ca.names.join(', ')],
    ['egress.agent', agent ?? `${code('local')}; none where an agent has a token`],
    ['egress.resolve', 'DNS'],
    ['egress.upstreamProxy.resolves', code('false')],
    ['egress.socketMode', mode(socketMode)],
  ];
}

function ofTheRest({ ledger, control, telemetry, limits }: Config, folder: string): [string, string][] {
  const home = (path: string): string => code(path.replace(folder, '$SECRETLESS_HOME'));
  return [
    ['rules[].time.zone', code('UTC')],
    ['ledger.file', home(ledger.file)],
    ['ledger.durability', code(ledger.durability)],
    ['ledger.rotate', size(ledger.rotateBytes)],
    ['ledger.keep', code(String(ledger.keep))],
    ['control.socket', home(control.socket)],
    ['telemetry.listenOn', code(formatListenAddress(telemetry.listenOn!))],
    ['telemetry.log.level', code(telemetry.log.level)],
    ['limits.connections', code(String(limits.connections))],
    ['limits.headerBytes', size(limits.headerBytes)],
    ['limits.header', duration(limits.headerSeconds)],
    ['limits.keepAlive', duration(limits.keepAliveSeconds)],
    ['limits.request', duration(limits.requestSeconds)],
    ['limits.drain', duration(limits.drainSeconds)],
  ];
}

function code(text: string): string {
  return `\`${text}\``;
}

function mode(bits: number): string {
  return code(`"0${bits.toString(8)}"`);
}

function duration(seconds: number): string {
  return code(seconds >= 60 && seconds % 60 === 0 && seconds !== 60 ? `${seconds / 60}m` : `${seconds}s`);
}

function size(bytes: number): string {
  return code(bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20}MiB` : `${bytes / 2 ** 10}KiB`);
}
