import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { issueAuthority } from '../../src/certificate/authority.ts';
import type { Outcome, Report } from '../../src/cli/demo/agent.ts';
import { openAwsUpstream } from '../../src/cli/demo/aws-upstream.ts';
import { openDatabase } from '../../src/cli/demo/database.ts';
import { demoRows, isRight, type Row } from '../../src/cli/demo/rows.ts';
import {
  makeCredentials,
  secretsOf,
  sidecarEnvironment,
  type Upstreams,
} from '../../src/cli/demo/sidecar-environment.ts';
import { openTlsUpstream } from '../../src/cli/demo/tls-upstream.ts';
import { openUpstream } from '../../src/cli/demo/upstream.ts';
import { ControlClient } from '../../src/sidecar/control-client.ts';
import { controlSocketPath, type SidecarStatus } from '../../src/sidecar/state.ts';
import type { Image } from './build.ts';
import { Container, makeVolumes, userOf, type Volumes } from './run.ts';

const CHECKOUT = join(import.meta.dirname, '../..');
/** Where what the credentials are read from is shown in the container. */
const SHOWN = '/tmp/credentials';

/** One thing that must hold. */
export interface Finding {
  readonly what: string;
  readonly holds: boolean;
}

/**
 * The sidecar of the demo in the container, all else outside of it: upstreams, agents and a PostgreSQL where the checkout
 * has one. Every request must be answered as in the demo, SIGTERM must drain, and the ledger must be whole.
 */
export async function tryDemo(image: Image, scratch: string, say: (line: string) => void): Promise<Finding[]> {
  const folder = mkdtempSync(join(scratch, 'trial-'));
  const volumes = makeVolumes(image, folder);
  const credentials = makeCredentials();
  const { upstreams, given, close } = await openUpstreams(folder, credentials, say);
  copyFileSync(join(CHECKOUT, 'config/demo.yml'), join(volumes.config, 'secretless.yml'));
  execFileSync('chown', ['-R', userOf(image).join(':'), given.folder]);
  const shown = [{ from: given.folder, to: SHOWN, readOnly: true }];
  const sidecar = new Container({ image, volumes, words: WORDS, env: given.env, shown });
  try {
    say(`all services ready after ${(await sidecar.readyMs()).toFixed(0)} ms`);
    const findings = await tryRows(volumes, upstreams, given.env, say);
    const health = new Container({ image: { ...image, entrypoint: image.healthcheck }, volumes, words: [] });
    findings.push({ what: 'the health check passes while it runs', holds: (await health.ended) === 0 });
    const code = await sidecar.end('SIGTERM');
    const drained = sidecar.said().includes('"message":"stopped"');
    findings.push({ what: 'SIGTERM drains and ends it with 0', holds: code === 0 && drained });
    const after = new Container({ image: { ...image, entrypoint: image.healthcheck }, volumes, words: [] });
    findings.push({ what: 'the health check fails once it ended', holds: (await after.ended) !== 0 });
    const ledger = new Container({ image, volumes, words: ['ledger', 'verify'] });
    findings.push({ what: 'the chain of the ledger is whole', holds: (await ledger.ended) === 0 });
    const said = sidecar.said() + readFileSync(join(volumes.state, 'ledger.jsonl'), 'utf8');
    const told = secretsOf(credentials, upstreams).some((secret) => said.includes(JSON.stringify(secret).slice(1, -1)));
    findings.push({ what: 'no secret is in the log or the ledger', holds: !told });
    return findings;
  } finally {
    await sidecar.end('SIGKILL');
    await close();
  }
}

/** As the charts start it; telemetry is where the file says, since the network is this machine's. */
const WORDS = [
  'start',
  '-f',
  '/etc/secretless/secretless.yml',
  '--watch',
  '--sidecar',
  'native',
  '--trust',
  '/run/secretless',
];

interface Given {
  /** Of files with credentials. */
  readonly folder: string;
  readonly env: Record<string, string>;
}

interface Opened {
  readonly upstreams: Upstreams;
  readonly given: Given;
  readonly close: () => Promise<void>;
}

async function openUpstreams(
  folder: string,
  credentials: ReturnType<typeof makeCredentials>,
  say: (line: string) => void,
): Promise<Opened> {
  const from = join(folder, 'credentials');
  mkdirSync(from);
  const authority = await issueAuthority('trial authority');
  const upstream = await openUpstream(credentials);
  const tls = await openTlsUpstream(from, credentials.token, authority);
  const aws = await openAwsUpstream(credentials.awsKey);
  const opened = await openDatabase(from, authority);
  if ('missing' in opened) say(`without PostgreSQL: ${opened.missing}`);
  const database = 'missing' in opened ? undefined : opened;
  const upstreams = { upstream, tls, aws, database, git: undefined };
  const outside = await sidecarEnvironment(from, credentials, upstreams, { PATH: '' });
  const inside = Object.entries({ ...outside, DEMO_SOCKET: '/run/secretless/query.sock', DEMO_PRINT: PRINT }).map(
    ([name, value]) => [name, value?.replace(from, SHOWN) ?? ''] as const,
  );
  const unset = ['PATH', 'SECRETLESS_HOME'];
  const env = Object.fromEntries(inside.filter(([name]) => !unset.includes(name)));
  const close = async (): Promise<void> => {
    for (const each of [upstream, tls, aws]) each.close();
    await database?.close();
  };
  return { upstreams, given: { folder: from, env }, close };
}

/** The image has no `cat`. */
const PRINT = `/opt/secretless/bin/node -e "process.stdout.write(require('node:fs').readFileSync(process.argv[1]))"`;

async function tryRows(
  volumes: Volumes,
  upstreams: Upstreams,
  env: Readonly<Record<string, string>>,
  say: (line: string) => void,
): Promise<Finding[]> {
  const status = await new ControlClient(controlSocketPath({ SECRETLESS_HOME: volumes.state })).status();
  const has = { database: upstreams.database !== undefined, s3Client: true, git: undefined };
  const rows = demoRows(asSeenOutside(status, volumes), upstreams.upstream.port, {
    ...has,
    egress: { curl: false, upstream: upstreams.tls },
  });
  // What the agent of a pod is shown, and with it the upstream's own authority for what passes untouched.
  const trust = join(volumes.config, 'trust.pem');
  const authorities = [
    join(volumes.share, 'egress-ca.pem'),
    env['DEMO_TLS_UPSTREAM_CA']!.replace(SHOWN, join(volumes.state, '../credentials')),
  ];
  writeFileSync(trust, authorities.map((file) => readFileSync(file, 'utf8')).join('\n'));
  const proxy = `http://127.0.0.1:${env['DEMO_EGRESS_PORT']}`;
  const led = { HTTPS_PROXY: proxy, https_proxy: proxy, NODE_USE_ENV_PROXY: '1', NODE_EXTRA_CA_CERTS: trust };
  const outcomes = [
    ...(await runAgent(
      rows.filter((row) => !isLed(row)),
      {},
    )),
    ...(await runAgent(rows.filter(isLed), led)),
  ];
  return rows.map((row) => {
    const outcome = outcomes.find((each) => each.row === row.errand.row)!;
    const holds = isRight(row, outcome, seenOf(row, outcome, upstreams));
    if (!holds) say(`${row.service}: ${outcome.status} ${outcome.body.slice(0, 200)}`);
    return { what: `${row.service}: ${row.sent}`, holds };
  });
}

/** Unix sockets lie in a volume. */
function asSeenOutside(status: SidecarStatus, { share }: Volumes): SidecarStatus {
  const listeners = status.listeners.map((listener) => ({
    ...listener,
    address: listener.address.replace('/run/secretless', share),
  }));
  return { ...status, listeners };
}

function isLed({ errand }: Row): boolean {
  return 'egress' in errand;
}

async function runAgent(rows: readonly Row[], env: NodeJS.ProcessEnv): Promise<readonly Outcome[]> {
  const errands = JSON.stringify(rows.map(({ errand }) => errand));
  const agent = spawn(
    process.execPath,
    ['--conditions=secretless-source', join(CHECKOUT, 'src/cli/secretless.ts'), 'demo', 'agent', errands],
    {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const [printed, [code]] = (await Promise.all([text(agent.stdout), once(agent, 'close')])) as [
    string,
    [number | null],
  ];
  if (code !== 0) throw new Error(`the agent ended with ${code}`);
  return (JSON.parse(printed) as Report).outcomes;
}

function seenOf(
  { errand }: Row,
  { status, body }: Outcome,
  { upstream, tls, aws }: Upstreams,
): { credential: string } | undefined {
  if ('postgres' in errand) return status === '00000' ? { credential: body } : undefined;
  const { seen } = 'aws' in errand ? aws : 'egress' in errand ? tls : upstream;
  return seen.find(({ row }) => row === errand.row);
}
