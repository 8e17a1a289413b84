import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SidecarError } from '../error.ts';
import { verifyLedger } from '../ledger/verify.ts';
import { ControlClient } from '../sidecar/control-client.ts';
import { controlSocketPath, ledgerPath, type SidecarStatus } from '../sidecar/state.ts';
import { defineCommand, type Io } from './command.ts';
import type { Outcome, Report } from './demo/agent.ts';
import type { AwsKey } from './demo/aws-signature.ts';
import { openAwsUpstream, type AwsUpstream } from './demo/aws-upstream.ts';
import { openDatabase, type DemoDatabase } from './demo/database.ts';
import { openGitUpstream, REPOSITORY, type GitUpstream } from './demo/git-upstream.ts';
import { freePorts } from './demo/ports.ts';
import { deedOf, demoRows, isRight, type Row } from './demo/rows.ts';
import { openUpstream, type DemoCredentials, type DemoUpstream, type Seen } from './demo/upstream.ts';
import { EXIT } from './exit.ts';
import { table } from './table.ts';

export const command = defineCommand({
  name: 'demo',
  summary: 'show it at work: an upstream, the sidecar, and an agent that holds nothing',
  usage: '[--keep]',
  options: { keep: { type: 'boolean', meaning: 'leave it running, with commands to try' } },
  async run(args, io) {
    const folder = await mkdtemp(join(tmpdir(), 'secretless-'));
    const credentials = makeCredentials();
    const awsKey = makeAwsKey();
    const upstream = await openUpstream(credentials);
    const aws = await openAwsUpstream(awsKey);
    const opened = await openDatabase(folder);
    const database = 'missing' in opened ? undefined : opened;
    const openedGit = await openGitUpstream(folder, io.env);
    const git = 'missing' in openedGit ? undefined : openedGit;
    const upstreams = { upstream, aws, database, git };
    const env = await sidecarEnvironment(folder, { ...credentials, awsKey }, upstreams, io.env);
    const sidecar = spawnSelf(['start', '-f', demoFile()], env);
    try {
      const status = await readyStatus(sidecar, env);
      const s3Client = isInstalled('@aws-sdk/client-s3');
      const sshConfig = git && (await writeSshConfig(folder, env));
      const agentGit = git && { sshConfig: sshConfig!, folder: join(folder, 'notes'), programs: git.programs };
      const rows = demoRows(status, upstream.port, { database: database !== undefined, s3Client, git: agentGit });
      const right = await show(rows, upstreams, env, io);
      if (!s3Client) io.stdout.write('without the row of S3: the npm package @aws-sdk/client-s3 is not installed\n');
      if ('missing' in opened) io.stdout.write(`without the rows of PostgreSQL: ${opened.missing}\n`);
      if ('missing' in openedGit) io.stdout.write(`without the rows of git: ${openedGit.missing}\n`);
      if (args.values.keep === true) await keep(status, upstream.port, sshConfig, env, io);
      return right ? EXIT.ok : EXIT.internal;
    } finally {
      await end(sidecar);
      upstream.close();
      aws.close();
      git?.close();
      await database?.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
});

function makeCredentials(): DemoCredentials {
  const make = (): string => randomBytes(24).toString('base64url');
  return { token: make(), password: make(), key: make(), consumerSecret: make(), accessSecret: make() };
}

/** Of the form that AWS gives out. */
function makeAwsKey(): AwsKey {
  const [id, secret] = [randomBytes(8).toString('hex').toUpperCase(), randomBytes(30).toString('base64')];
  return { accessKeyId: `AKIA${id}`, secretAccessKey: secret };
}

/** Whether a package is there that only development needs. */
function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}

/** Of nobody: where there is no git, its service has an upstream that cannot be reached. */
const NO_HOST_KEY = `SHA256:${'A'.repeat(43)}`;

interface Upstreams {
  readonly upstream: DemoUpstream;
  readonly aws: AwsUpstream;
  readonly database: DemoDatabase | undefined;
  readonly git: GitUpstream | undefined;
}

/** Only the sidecar gets these; what they point at is in a folder that only this user can enter. */
async function sidecarEnvironment(
  folder: string,
  { token, password, key, consumerSecret, accessSecret, awsKey }: DemoCredentials & { readonly awsKey: AwsKey },
  { upstream, aws, database, git }: Upstreams,
  env: NodeJS.ProcessEnv,
): Promise<NodeJS.ProcessEnv> {
  const [passwordFile, keyFile] = [join(folder, 'password'), join(folder, 'key')];
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  await writeFile(keyFile, `${key}\n`, { mode: 0o600 });
  const [header, basic, oauth, orders, awsPort, gitPort] = await freePorts(6);
  return {
    PATH: env['PATH'],
    SECRETLESS_HOME: folder,
    DEMO_HEADER_PORT: String(header),
    DEMO_BASIC_PORT: String(basic),
    DEMO_OAUTH_PORT: String(oauth),
    DEMO_ORDERS_PORT: String(orders),
    DEMO_AWS_PORT: String(awsPort),
    DEMO_UPSTREAM_PORT: String(upstream.port),
    DEMO_AWS_UPSTREAM_PORT: String(aws.port),
    DEMO_GIT_PORT: String(gitPort),
    DEMO_GIT_UPSTREAM_PORT: String(git?.port ?? 1),
    DEMO_GIT_HOST_KEY: git?.hostKey ?? NO_HOST_KEY,
    DEMO_GIT_KEY: git?.privateKey ?? 'none',
    DEMO_DATABASE_PORT: String(database?.port ?? 1),
    DEMO_DATABASE_CA: database?.caFile ?? '/',
    DEMO_DATABASE_PASSWORD: database?.password ?? 'none',
    DEMO_SOCKET: join(folder, 'query.sock'),
    DEMO_PASSWORD_FILE: passwordFile,
    DEMO_KEY_FILE: keyFile,
    DEMO_AWS_ACCESS_KEY_ID: awsKey.accessKeyId,
    DEMO_AWS_SECRET_ACCESS_KEY: awsKey.secretAccessKey,
    DEMO_TOKEN: token,
    DEMO_CONSUMER_SECRET: consumerSecret,
    DEMO_ACCESS_SECRET: accessSecret,
  };
}

function demoFile(): string {
  const root = dirname(createRequire(import.meta.url).resolve('secretless-sidecar/package.json'));
  return join(root, 'config', 'demo.yml');
}

/** A module of ours beside this one, as the running build names it: `.ts` in a checkout, `.js` once built. */
function module(name: string): string {
  const suffix = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  return fileURLToPath(new URL(`./${name}${suffix}`, import.meta.url));
}

function spawnSelf(words: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, [...process.execArgv, module('secretless'), ...words], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

/** Errors: `not-running`, with what the sidecar said. */
async function readyStatus(sidecar: ChildProcess, env: NodeJS.ProcessEnv): Promise<SidecarStatus> {
  let said = '';
  sidecar.stderr!.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)));
  const client = new ControlClient(controlSocketPath(env));
  for (let tries = 0; tries < 300 && sidecar.exitCode === null; tries += 1) {
    const status = await client.status().catch(() => undefined);
    if (status?.ready === true && status.listeners.length > 0) return status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new SidecarError('not-running', { detail: `the demo's sidecar did not start:\n${said}` });
}

/** As a user would: what leads `ssh` to the sidecar, which holds no secret. Errors: `not-running`. */
async function writeSshConfig(folder: string, env: NodeJS.ProcessEnv): Promise<string> {
  const to = join(folder, 'agent-ssh');
  const command = spawnSelf(['ssh', 'config', '-f', demoFile(), '--service', 'git', '--write', to], env);
  let said = '';
  command.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = (await once(command, 'close')) as [number | null];
  if (code !== 0) throw new SidecarError('not-running', { detail: `there is no configuration for ssh:\n${said}` });
  return join(to, 'ssh_config');
}

async function runAgent(rows: readonly Row[]): Promise<Report> {
  const errands = JSON.stringify(rows.map(({ errand }) => errand));
  // An empty environment: whatever the agent can show, it did not get from there.
  const agent = spawn(process.execPath, [...process.execArgv, module('demo/agent'), errands], {
    env: {},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  agent.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  await once(agent, 'close');
  return JSON.parse(printed) as Report;
}

/** Prints the table; true where every row is right. */
async function show(rows: readonly Row[], upstreams: Upstreams, env: NodeJS.ProcessEnv, io: Io): Promise<boolean> {
  const { environment, outcomes } = await runAgent(rows);
  const direct = outcomes[0]!.ms;
  let allRight = environment.length === 0;
  const cells = rows.map((row, at) => {
    const outcome = outcomes[at]!;
    const seen = seenFor(row, at, outcome, upstreams);
    const right = isRight(row, outcome, seen);
    allRight &&= right;
    return [
      row.service,
      `${deedOf(row)}, ${row.sent}`,
      seen?.credential ?? '(nothing arrived)',
      String(outcome.status),
      added(row, outcome, directFor(row, upstreams) ?? direct),
      right ? 'right' : 'WRONG',
    ];
  });
  io.stdout.write(table(['service', 'agent sent', 'upstream saw', 'status', 'added', ''], cells));
  const { ok, lines } = await ledgerReport(env);
  io.stdout.write(
    `\nagent environment: ${environment.length} variables; ledger: ${lines} events, ${ok ? 'chain verified' : 'BROKEN'}\n`,
  );
  io.stdout.write(allRight && ok ? 'every row is right\n' : 'something is WRONG\n');
  return allRight && ok;
}

/** Median through the sidecar less the median of a direct call: for HTTP one that is refused, elsewhere one with the real credential. */
function added({ service }: Row, { ms }: Outcome, direct: number): string {
  return ms === 0 || service === '(direct)' ? '-' : `${Math.max(0, ms - direct).toFixed(2)} ms`;
}

/** What the upstream of a row saw of it. */
function seenFor(
  { errand }: Row,
  at: number,
  outcome: Outcome,
  { upstream, aws, git }: Upstreams,
): Pick<Seen, 'credential'> | undefined {
  if ('postgres' in errand) return seenBy(outcome);
  if ('git' in errand)
    return git!.seen.find(({ method }) => (method === 'upload-pack') === (errand.git.verb === 'clone'));
  const seen = 'aws' in errand ? aws.seen : upstream.seen;
  return seen.find(({ row }) => row === String(at));
}

/** Median without the sidecar, where it is not that of the HTTP upstream. */
function directFor({ errand }: Row, { aws, database }: Upstreams): number | undefined {
  if ('postgres' in errand) return database!.directMs;
  return 'aws' in errand ? aws.directMs : undefined;
}

/** A database that was not reached says nothing of itself. */
function seenBy({ status, body }: Outcome): Pick<Seen, 'credential'> | undefined {
  return status === '00000' ? { credential: body } : undefined;
}

async function ledgerReport(env: NodeJS.ProcessEnv): Promise<{ ok: boolean; lines: number }> {
  const report = await verifyLedger(ledgerPath(env));
  return { ok: report.ok, lines: report.lines };
}

async function keep(
  status: SidecarStatus,
  port: number,
  sshConfig: string | undefined,
  env: NodeJS.ProcessEnv,
  io: Io,
): Promise<void> {
  const at = (service: string): string =>
    status.listeners.find(({ services }) => services.includes(service))!.address.replace(/^tcp:/, 'http:');
  const home = env['SECRETLESS_HOME'];
  io.stdout.write(
    [
      '',
      'It keeps running. Try:',
      `  curl -i http://127.0.0.1:${port}/v1/items                 # direct: 401`,
      `  curl -i ${at('header')}/v1/items`,
      `  curl -i -X DELETE ${at('header')}/v1/items/1     # a rule denies it`,
      `  curl -i --unix-socket ${at('query').replace('unix://', '')} http://localhost/tiles`,
      `  curl -i --aws-sigv4 aws:amz:eu-central-1:s3 -u SECRETLESSSIDECAR:secretless-sidecar-has-the-real-key ${at('aws')}/agent/notes/first.txt`,
      `  psql ${at('orders').replace('http:', 'postgres:')}/postgres -c 'select system_user'`,
      ...(sshConfig === undefined
        ? []
        : [
            `  GIT_SSH_COMMAND='ssh -F ${sshConfig}' git clone ssh://git/${REPOSITORY}`,
            `  ssh -F ${sshConfig} git uptime     # the upstream knows git alone`,
          ]),
      `  http_proxy=${at('oauth')} curl -i http://127.0.0.1:${port}/v1/statuses`,
      `  SECRETLESS_HOME=${home} npm run -s secretless -- status`,
      `  SECRETLESS_HOME=${home} npm run -s secretless -- ledger tail`,
      '',
      'Ctrl-C ends it.',
      '',
    ].join('\n'),
  );
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
    io.signal?.addEventListener('abort', () => resolve(), { once: true });
  });
}

async function end(sidecar: ChildProcess): Promise<void> {
  if (sidecar.exitCode !== null) return;
  const closed = once(sidecar, 'close');
  sidecar.kill('SIGTERM');
  await closed;
}
