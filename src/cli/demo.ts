import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issueAuthority } from '../certificate/authority.ts';
import { SidecarError } from '../error.ts';
import { verifyLedger } from '../ledger/verify.ts';
import { ControlClient } from '../sidecar/control-client.ts';
import { controlSocketPath, ledgerPath, type SidecarStatus } from '../sidecar/state.ts';
import { defineCommand, type Io, UsageError } from './command.ts';
import type { Outcome, Report } from './demo/agent.ts';
import { openAwsUpstream } from './demo/aws-upstream.ts';
import { openDatabase } from './demo/database.ts';
import { findProgram, openGitUpstream, REPOSITORY } from './demo/git-upstream.ts';
import { demoFile, findPackage, selfWords, shownCommand } from './demo/installed.ts';
import { deedOf, demoRows, isRight, type Row } from './demo/rows.ts';
import { makeCredentials, secretsOf, sidecarEnvironment, type Upstreams } from './demo/sidecar-environment.ts';
import { GUARDED_HOST, openTlsUpstream } from './demo/tls-upstream.ts';
import { openUpstream, type Seen } from './demo/upstream.ts';
import { EXIT } from './exit.ts';
import { table } from './table.ts';

export const command = defineCommand({
  name: 'demo',
  summary: 'show it at work: an upstream, the sidecar, and an agent that holds nothing',
  usage: '[--keep]',
  options: { keep: { type: 'boolean', meaning: 'leave it running, with commands to try' } },
  // `demo agent <errands>` is the agent: the demo starts itself for it.
  positionals: 2,
  async run(args, io) {
    const [role, errands] = args.positionals;
    if (role !== undefined) return runAsAgent(role, errands, io);
    const folder = await mkdtemp(join(tmpdir(), 'secretless-'));
    const credentials = makeCredentials();
    const authority = await issueAuthority('demo authority');
    // The slow ones beside each other, after those that are timed.
    const upstream = await openUpstream(credentials);
    const tls = await openTlsUpstream(folder, credentials.token, authority);
    const aws = await openAwsUpstream(credentials.awsKey);
    const [opened, openedGit] = await Promise.all([openDatabase(folder, authority), openGitUpstream(folder, io.env)]);
    const database = 'missing' in opened ? undefined : opened;
    const git = 'missing' in openedGit ? undefined : openedGit;
    const upstreams = { upstream, tls, aws, database, git };
    const env = await sidecarEnvironment(folder, credentials, upstreams, io.env);
    const file = await demoFile(folder);
    const sidecar = spawnSelf(['start', '-f', file], env);
    try {
      const status = await readyStatus(sidecar, env);
      const s3Client = findPackage('@aws-sdk/client-s3') !== undefined;
      const sshConfig = git && (await writeSshConfig(file, folder, env));
      const agentGit = git && { sshConfig: sshConfig!, folder: join(folder, 'notes'), programs: git.programs };
      const curl = (await findProgram('curl', io.env)) !== undefined;
      const egress = { curl, upstream: tls };
      const has = { database: database !== undefined, s3Client, git: agentGit, egress };
      const rows = demoRows(status, upstream.port, has);
      const right = await show({ rows, upstreams, file, env, secrets: secretsOf(credentials, upstreams) }, io);
      if (!s3Client) io.stdout.write('without the row of S3: the npm package @aws-sdk/client-s3 is not installed\n');
      if (!curl) io.stdout.write('without the row of curl: there is none on PATH\n');
      if ('missing' in opened) io.stdout.write(`without the rows of PostgreSQL: ${opened.missing}\n`);
      if ('missing' in openedGit) io.stdout.write(`without the rows of git: ${openedGit.missing}\n`);
      if (args.values.keep === true) await keep(status, upstreams, sshConfig, env, io);
      return right ? EXIT.ok : EXIT.internal;
    } finally {
      await end(sidecar);
      upstream.close();
      tls.close();
      aws.close();
      git?.close();
      await database?.close();
      await rm(folder, { recursive: true, force: true });
    }
  },
});

async function runAsAgent(role: string, errands: string | undefined, io: Io): Promise<number> {
  if (role !== 'agent' || errands === undefined) throw new UsageError('demo takes no arguments');
  const { runErrands } = await import('./demo/agent.ts');
  io.stdout.write(await runErrands(errands));
  return EXIT.ok;
}

function spawnSelf(words: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const [program, ...own] = selfWords();
  return spawn(program, [...own, ...words], {
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
async function writeSshConfig(file: string, folder: string, env: NodeJS.ProcessEnv): Promise<string> {
  const to = join(folder, 'agent-ssh');
  const command = spawnSelf(['ssh', 'config', '-f', file, '--service', 'git', '--write', to], env);
  let said = '';
  command.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = (await once(command, 'close')) as [number | null];
  if (code !== 0) throw new SidecarError('not-running', { detail: `there is no configuration for ssh:\n${said}` });
  return join(to, 'ssh_config');
}

/** An empty environment: whatever the agent can show, it did not get from there. */
function runAgent(rows: readonly Row[]): Promise<Report> {
  return reportOf(['demo', 'agent'], rows, {});
}

/** As a user runs it: in the shell of the sidecar, with all that the sidecar was given. */
function runLedAgent(rows: readonly Row[], file: string, env: NodeJS.ProcessEnv): Promise<Report> {
  const words = ['run', '-f', file, '--', ...selfWords(), 'demo', 'agent'];
  // The agent trusts the upstream's authority itself, as it does whatever runs it.
  return reportOf(words, rows, { ...env, NODE_EXTRA_CA_CERTS: env['DEMO_TLS_UPSTREAM_CA'] });
}

/** Errors: `internal`, with what the agent said. */
async function reportOf(words: readonly string[], rows: readonly Row[], env: NodeJS.ProcessEnv): Promise<Report> {
  const errands = JSON.stringify(rows.map(({ errand }) => errand));
  const [program, ...own] = selfWords();
  const agent = spawn(program, [...own, ...words, errands], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [printed, said] = ['', ''];
  agent.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  agent.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = (await once(agent, 'close')) as [number | null];
  if (code !== 0) throw new SidecarError('internal', { detail: `the agent of the demo failed:\n${said}` });
  return JSON.parse(printed) as Report;
}

interface Show {
  readonly rows: readonly Row[];
  readonly upstreams: Upstreams;
  /** The configuration. */
  readonly file: string;
  /** Of the sidecar. */
  readonly env: NodeJS.ProcessEnv;
  /** What no agent may have. */
  readonly secrets: readonly string[];
}

/** Prints the table; true where every row is right. */
async function show({ rows, upstreams, file, env, secrets }: Show, io: Io): Promise<boolean> {
  const isLed = ({ errand }: Row): boolean => 'egress' in errand;
  const alone = await runAgent(rows.filter((row) => !isLed(row)));
  const led = await runLedAgent(rows.filter(isLed), file, env);
  const outcomes = new Map([...alone.outcomes, ...led.outcomes].map((outcome) => [outcome.row, outcome]));
  const direct = alone.outcomes[0]!.ms;
  let allRight = true;
  const cells = rows.map((row) => {
    const outcome = outcomes.get(row.errand.row)!;
    const seen = seenFor(row, outcome, upstreams);
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
  const held = secretsAmong(led, secrets) + Object.keys(alone.environment).length;
  const { ok, lines } = await ledgerReport(env);
  io.stdout.write(
    `\nagent environment: ${Object.keys(alone.environment).length} variables; under \`secretless run\`: ` +
      `${secretsAmong(led, secrets)} of ${secrets.length} secrets; ` +
      `ledger: ${lines} events, ${ok ? 'chain verified' : 'BROKEN'}\n`,
  );
  io.stdout.write(allRight && ok && held === 0 ? 'every row is right\n' : 'something is WRONG\n');
  return allRight && ok && held === 0;
}

function secretsAmong({ environment }: Report, secrets: readonly string[]): number {
  const text = JSON.stringify(Object.values(environment));
  return secrets.filter((secret) => text.includes(JSON.stringify(secret).slice(1, -1))).length;
}

/** Median through the sidecar less the median of a direct call: for HTTP one that is refused, elsewhere one with the real credential. */
function added({ service }: Row, { ms }: Outcome, direct: number): string {
  return ms === 0 || service === '(direct)' ? '-' : `${Math.max(0, ms - direct).toFixed(2)} ms`;
}

/** What the upstream of a row saw of it. */
function seenFor(
  { errand }: Row,
  outcome: Outcome,
  { upstream, tls, aws, git }: Upstreams,
): Pick<Seen, 'credential'> | undefined {
  if ('postgres' in errand) return seenBy(outcome);
  if ('git' in errand)
    return git!.seen.find(({ method }) => (method === 'upload-pack') === (errand.git.verb === 'clone'));
  const { seen } = 'aws' in errand ? aws : 'egress' in errand ? tls : upstream;
  return seen.find(({ row }) => row === errand.row);
}

/** Median without the sidecar, where it is not that of the HTTP upstream. */
function directFor({ errand }: Row, { tls, aws, database }: Upstreams): number | undefined {
  if ('postgres' in errand) return database!.directMs;
  if ('egress' in errand) return errand.egress.client === 'grpc' ? tls.directMs.message : tls.directMs.request;
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
  { upstream: { port }, tls }: Upstreams,
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
      `  https_proxy=http://127.0.0.1:${env['DEMO_EGRESS_PORT']} curl -i --cacert ${home}/egress-ca.pem https://${GUARDED_HOST}:${tls.port}/v1/items`,
      `  SECRETLESS_HOME=${home} ${shownCommand()} status`,
      `  SECRETLESS_HOME=${home} ${shownCommand()} ledger tail`,
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
