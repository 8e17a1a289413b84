import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { DoctorFinding } from '../../connector/connector.ts';
import { asSidecarError } from '../../error.ts';
import { openLog } from '../../telemetry/log.ts';
import { singleLine } from '../../telemetry/log-text.ts';
import { loadOrRefuse, startSidecar } from '../../main.ts';
import { changed } from '../run/environment.ts';
import { outfit } from '../run/outfit.ts';
import { standingOf } from '../run/standing.ts';
import { APART, type Probe, PROBES } from './clients.ts';
import { openOrigin, ORIGIN_HOST, type LocalOrigin } from './origin.ts';

/** One client on a busy machine; JVMs and the tools in Python take their time. */
const PROBE_MS = 45_000;
/** Clients tried at a time. */
const AT_A_TIME = 3;
const OUTPUT_BYTES_MAX = 64 * 1024;
const REASON_CHARACTERS_MAX = 200;

/**
 * Tries each client that is found against an https origin of this machine, with the environment of `secretless run`, through
 * a sidecar of its own. Nothing leaves the machine: any other origin is refused.
 */
export async function clientFindings(env: NodeJS.ProcessEnv): Promise<DoctorFinding[]> {
  const found = PROBES.filter(({ program }) => isOnPath(program, env));
  const apart = Object.entries(APART).flatMap(([program, next]): DoctorFinding[] =>
    isOnPath(program, env) ? [{ name: program, verdict: 'apart', next }] : [],
  );
  if (found.length === 0) return apart;
  const folder = mkdtempSync(join(tmpdir(), 'secretless-doctor-'));
  try {
    return [...(await tried(found, folder, env)), ...apart];
  } catch (thrown) {
    const { detail, sentence } = asSidecarError(thrown);
    return [
      { name: 'clients', verdict: 'wrong', next: `no sidecar could be started for them: ${detail ?? sentence}` },
      ...apart,
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function tried(probes: readonly Probe[], folder: string, before: NodeJS.ProcessEnv): Promise<DoctorFinding[]> {
  const token = randomBytes(16).toString('hex');
  const origin = await openOrigin(`Bearer ${token}`);
  const file = writeConfig(folder, origin, token);
  const env = { ...before, SECRETLESS_HOME: join(folder, 'state') };
  const log = openLog({ level: 'error', stream: { write: () => undefined } });
  const sidecar = await startSidecar({ file, env, log, onStopRequested: () => undefined }).catch((thrown: unknown) => {
    origin.close();
    throw thrown;
  });
  try {
    const standing = standingOf(
      loadOrRefuse(file, env, () => undefined),
      sidecar.status(),
    );
    const place = { env, own: join(folder, 'own'), warn: () => undefined };
    const given = changed(env, await outfit(standing, { services: [], keep: [] }, place));
    const findings: DoctorFinding[] = [];
    for (let at = 0; at < probes.length; at += AT_A_TIME) {
      const now = probes.slice(at, at + AT_A_TIME);
      const each = now.map((probe, index) => tryOne(probe, origin.url, join(folder, `try${at + index}`), given));
      findings.push(...(await Promise.all(each)).flat());
    }
    return findings;
  } finally {
    await sidecar.drain();
    origin.close();
  }
}

function writeConfig(folder: string, origin: LocalOrigin, token: string): string {
  const [file, secret, authority] = ['secretless.yml', 'token', 'authority.pem'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(secret, token, { mode: 0o600 });
  writeFileSync(authority, origin.authority);
  const service = {
    connector: 'http',
    target: origin.url,
    tls: { ca: authority },
    credentials: { token: { from: 'file', get: secret } },
    config: { headers: { Authorization: 'Bearer {{ .token }}' } },
  };
  const config = {
    version: '2',
    services: { origin: service },
    egress: { listenOn: 'tcp://127.0.0.1:0', resolve: { [ORIGIN_HOST]: '127.0.0.1' } },
    telemetry: { listenOn: 'off' },
    limits: { drain: '1s' },
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}

/** Nothing, where a part of it is missing. */
async function tryOne(probe: Probe, url: string, folder: string, given: NodeJS.ProcessEnv): Promise<DoctorFinding[]> {
  const { program, name = program, words, files, content, absent } = probe;
  mkdirSync(folder);
  for (const [file, text] of Object.entries(files?.(url) ?? {})) writeFileSync(join(folder, file), text);
  const env = { ...given, ...probe.env?.(url, folder) };
  const { out, err, late } = await outputOf(program, words(url, folder), folder, env);
  if (content.test(out)) return [{ name, verdict: 'good' }];
  if (absent?.test(err) === true) return [];
  return [{ name, verdict: 'wrong', next: reasonOf(probe, err, late, env) }];
}

interface Output {
  readonly out: string;
  readonly err: string;
  readonly late: boolean;
}

function outputOf(program: string, words: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Output> {
  return new Promise((resolve) => {
    // A group of its own, so that whatever it starts ends with it.
    const child = spawn(program, words, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const texts = { out: '', err: '' };
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, PROBE_MS);
    const take = (to: 'out' | 'err') => (text: string) => {
      if (texts[to].length < OUTPUT_BYTES_MAX) texts[to] += text;
    };
    child.stdout.setEncoding('utf8').on('data', take('out'));
    child.stderr.setEncoding('utf8').on('data', take('err'));
    const done = (): void => {
      clearTimeout(timer);
      resolve({ ...texts, late });
    };
    child.once('error', (error) => {
      texts.err += error.message;
      done();
    });
    child.once('close', done);
  });
}

const OF_TRUST = /certificate|\bx509|\bssl|\btls\b|pkix|self.signed|CERT_/i;
const OF_PROXY =
  /resolve|resolution|ENOTFOUND|getaddrinfo|no such host|unknown host|UnresolvedAddress|name or service|proxy/i;

/** Its own last words, and what to do. */
function reasonOf({ trust, proxy }: Probe, err: string, late: boolean, env: NodeJS.ProcessEnv): string {
  if (late) return `it did not end in ${PROBE_MS / 1000} seconds; ${proxy}`;
  const lines = err.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('Picked up JAVA_TOOL_OPTIONS'));
  const telling = lines.find((line) => OF_TRUST.test(line) || OF_PROXY.test(line)) ?? lines.at(-1) ?? 'it said nothing';
  const said = singleLine(telling.trim().slice(0, REASON_CHARACTERS_MAX)).trim();
  const next = OF_TRUST.test(err) ? trust(env['SSL_CERT_FILE'] ?? 'the bundle') : proxy;
  return `it said: ${said}; ${next}`;
}

function isOnPath(program: string, env: NodeJS.ProcessEnv): boolean {
  return (env['PATH'] ?? '').split(delimiter).some((folder) => {
    if (folder === '') return false;
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
