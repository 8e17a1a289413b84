import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { controlSocketPath } from '../src/sidecar/state.ts';
import { canary, keepArtefact } from './canary.ts';
import { complete, environment, ledgerLines, runCommand, startProcess, stateFolder } from './process-rig.ts';
import { startUpstream } from './rig.ts';

/** `secretless run`: real programs beside a real sidecar. */

const SECRET = canary();

const yaml = (more = '', target = 'http://127.0.0.1:9') => `
services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: ${target}
    credentials: { token: { from: env, get: RUN_TEST_TOKEN } }
    config: { headers: { Authorization: 'Bearer {{ .token }}' } }
${more}`;

/** A state folder with a configuration in it, and a folder for what programs leave in TMPDIR. */
function place(text: string): { folder: string; file: string; tmp: string } {
  const folder = stateFolder();
  const file = join(folder, 'secretless.yml');
  const tmp = join(folder, 'tmp');
  mkdirSync(tmp);
  writeFileSync(file, text.startsWith('version') ? text : `version: "2"\n${text}`, { mode: 0o600 });
  return { folder, file, tmp };
}

const ENV = { RUN_TEST_TOKEN: SECRET };

async function run(text: string, words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { folder, file, tmp } = place(text);
  const result = await runCommand(folder, ['run', '-f', file, ...words], { env: { ...ENV, TMPDIR: tmp, ...env } });
  return { ...result, folder, tmp };
}

describe('the end of the program', () => {
  test.each([
    [['sh', '-c', 'exit 7'], 7],
    [['sh', '-c', 'kill -TERM $$'], 143],
    [['sh', '-c', 'kill -KILL $$'], 137],
    [['true'], 0],
    [['no-such-program-here'], 127],
    [['/etc/passwd'], 126],
  ])('%j is the exit code %i', async (words, code) => {
    const result = await run(yaml(), ['--', ...words]);
    expect(result.code).toBe(code);
  });

  test('takes the sidecar and all temporary files with it', async () => {
    const { code, folder, tmp, out } = await run(yaml(), ['--', 'sh', '-c', 'ls "$TMPDIR"; ls "$SECRETLESS_HOME"']);
    expect(code).toBe(0);
    expect(out).toMatch(/^secretless-run-/m);
    expect(out).toMatch(/^control\.sock$/m);
    expect(readdirSync(tmp)).toEqual([]);
    expect(existsSync(controlSocketPath({ SECRETLESS_HOME: folder }))).toBe(false);
    expect(ledgerLines(folder).map(({ type }) => type)).toEqual(['sidecar.started', 'sidecar.stopped']);
  });
});

test('what follows -- belongs to the program, whatever it looks like', async () => {
  const { code, out } = await run(yaml(), ['--', 'echo', '-f', 'x', '--agent', '--', '--json']);
  expect([code, out]).toEqual([0, '-f x --agent -- --json\n']);
  const { code: missing, err } = await run(yaml(), ['curl']);
  expect([missing, err]).toEqual([64, expect.stringContaining('secretless run -- curl')]);
  expect((await run(yaml(), ['--'])).code).toBe(64);
});

test('a wrong configuration starts no program', async () => {
  const { code, out, err } = await run(yaml().replace('connector: http', 'connector: htp'), ['--', 'echo', 'started']);
  expect([code, out]).toEqual([78, '']);
  expect(err).toContain('htp');
});

test('telemetry is off unless the file asks for it', async () => {
  const status = ['--', process.execPath, '-e', 'process.stdout.write(process.env.PATH)'];
  const first = await run(yaml(), status);
  const second = await run(yaml('telemetry: { listenOn: tcp://127.0.0.1:0 }'), status);
  expect([first.code, second.code]).toEqual([0, 0]);
  // Two at a time would meet on the default port.
  const [a, b] = await Promise.all([run(yaml(), ['--', 'sleep', '1']), run(yaml(), ['--', 'sleep', '1'])]);
  expect([a.code, a.err, b.code, b.err]).toEqual([0, '', 0, '']);
});

describe('the environment of the program', () => {
  test('leads to the listener, and what goes there has the credential', async () => {
    const upstream = await startUpstream((request, response) => {
      response.end(request.headers.authorization === `Bearer ${SECRET}` ? 'right' : 'wrong');
    });
    const { code, out } = await run(yaml('', `http://127.0.0.1:${upstream.port}`), [
      '--',
      process.execPath,
      '-e',
      'fetch(process.env.API_URL).then((answer) => answer.text()).then(console.log)',
    ]);
    expect([code, out]).toEqual([0, 'right\n']);
  });

  test('has none of the secrets of ours', async () => {
    const literal = canary();
    const more = `  other:
    connector: http
    listenOn: tcp://127.0.0.2:0
    target: http://127.0.0.1:9
    credentials: { token: '\${RUN_TEST_EXPANDED}', second: { from: spare, get: RUN_TEST_NAMED } }
    config: { headers: { A: '{{ .token }}{{ .second }}' } }
providers: { spare: { type: env } }
`;
    const held = Object.fromEntries(
      ['RUN_TEST_NAMED', 'GITHUB_TOKEN', 'AWS_SECRET_ACCESS_KEY', 'OPENAI_API_KEY', 'PGPASSWORD', 'VAULT_TOKEN'].map(
        (name) => [name, canary()],
      ),
    );
    const env = { ...held, RUN_TEST_EXPANDED: literal, SSH_AUTH_SOCK: '/run/user.sock', HARMLESS: 'stays' };
    const { code, out } = await run(yaml(more), ['--', 'env'], env);
    expect(code).toBe(0);
    for (const secret of [SECRET, literal, ...Object.values(held)]) expect(out.includes(secret)).toBe(false);
    expect(out).toContain('HARMLESS=stays\n');
    expect(out).not.toContain('SSH_AUTH_SOCK');
  });

  test('keeps what it is told to keep', async () => {
    const env = { GITHUB_TOKEN: 'made-up', GITLAB_TOKEN: 'made-up-too' };
    const { out } = await run(yaml(), ['--keep', 'GITHUB_TOKEN', '--', 'env'], env);
    expect(out).toContain('GITHUB_TOKEN=made-up\n');
    expect(out).not.toContain('GITLAB_TOKEN');
  });

  test('says that a proxy of the shell is not on the way any more', async () => {
    const { err } = await run(yaml(), ['--', 'true'], { HTTPS_PROXY: 'http://proxy.corp:3128' });
    expect(err).toContain('egress.upstreamProxy');
  });

  test('names a service that does not exist with the one that was meant', async () => {
    const { code, err } = await run(yaml(), ['--service', 'apj', '--', 'true']);
    expect([code, err]).toEqual([64, expect.stringContaining('did you mean api?')]);
  });
});

/** A program that writes down each signal and ends with SIGTERM. */
const LISTENER = `
const { appendFileSync } = require('node:fs');
for (const name of ['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH']) {
  process.on(name, () => appendFileSync(process.argv[1], name + ' '));
}
process.on('SIGTERM', () => { appendFileSync(process.argv[1], 'SIGTERM'); process.exit(3); });
setInterval(() => undefined, 1000);
appendFileSync(process.argv[1], process.pid + ' ' + process.ppid + ' ready ');
`;

async function settled(file: string, text: string): Promise<void> {
  await expect.poll(() => (existsSync(file) ? readFileSync(file, 'utf8') : ''), { timeout: 20_000 }).toContain(text);
}

/** Starts a command as a shell starts a job, in a group of its own, and waits for it. */
const JOB = `
import os, sys
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.execvp(sys.argv[1], sys.argv[1:])
os.waitpid(pid, 0)
`;

describe('signals', () => {
  test('are the program’s, and the sidecar ends after it', async (context) => {
    if (!existsSync('/proc/self/stat') || spawnSync('setsid', ['true']).status !== 0)
      context.skip('needs setsid and /proc');
    const folder = stateFolder();
    const [seen, file] = [join(folder, 'seen'), join(folder, 'secretless.yml')];
    const words = ['run', '-f', file, '--', process.execPath, '-e', LISTENER, seen];
    // Without a terminal, which would send some of them to the program itself.
    const rig = startProcess(yaml(), { folder, words, env: ENV, wrapper: ['setsid'] });
    await settled(seen, 'ready');
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const) {
      rig.child.kill(signal);
      await settled(seen, signal);
    }
    rig.child.kill('SIGTERM');
    expect(await rig.ended).toEqual({ code: 3, signal: null });
    expect(ledgerLines(folder).at(-1)?.type).toBe('sidecar.stopped');
  });

  test('that stop a job stop both, and both go on together', async (context) => {
    if (!existsSync('/proc/self/stat') || spawnSync('python3', ['--version']).status !== 0)
      context.skip('needs python3 and /proc');
    const folder = stateFolder();
    const [seen, file] = [join(folder, 'seen'), join(folder, 'secretless.yml')];
    const words = ['run', '-f', file, '--', process.execPath, '-e', LISTENER, seen];
    // A group that a shell watches: in others nothing is stopped.
    const wrapper = ['setsid', 'python3', '-c', JOB];
    const rig = startProcess(yaml(), { folder, words, env: ENV, wrapper });
    await settled(seen, 'ready');
    const [program, sidecar] = readFileSync(seen, 'utf8').split(' ').map(Number) as [number, number];
    onTestFinished(() => {
      for (const pid of [program, sidecar]) if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
    });
    const states = () =>
      [program, sidecar].map((pid) => /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))![1]);
    for (let round = 0; round < 2; round += 1) {
      process.kill(sidecar, 'SIGTSTP');
      await expect.poll(states, { timeout: 10_000 }).toEqual(['T', 'T']);
      process.kill(sidecar, 'SIGCONT');
      await expect.poll(() => states().includes('T'), { timeout: 10_000 }).toBe(false);
      await pause(100);
    }
    process.kill(sidecar, 'SIGTERM');
    await settled(seen, 'SIGTERM');
    rig.child.kill('SIGKILL');
  });

  test('that a terminal sends reach it once, and its terminal is a terminal', async (context) => {
    if (spawnSync('script', ['--version']).status !== 0) context.skip('script(1) is not installed');
    const { folder, file } = place(yaml());
    const seen = join(folder, 'seen');
    const program = join(folder, 'listener.cjs');
    writeFileSync(
      program,
      `${LISTENER.replaceAll('argv[1]', 'argv[2]')}
      process.on('SIGHUP', () => process.exit());
      appendFileSync(process.argv[2], 'terminal:' + [0, 1, 2].every((fd) => require('node:tty').isatty(fd)) + ' ');`,
    );
    const entry = join(import.meta.dirname, '../src/cli/secretless.ts');
    // A shell in between would die of SIGQUIT first, and hang the terminal up.
    const line = `exec '${process.execPath}' --conditions=secretless-source '${entry}' run -f '${file}' -- '${process.execPath}' '${program}' '${seen}'`;
    const child = spawn('script', ['-qec', line, '/dev/null'], {
      env: environment(folder, { ...ENV, TERM: 'dumb', SHELL: '/bin/sh' }),
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await settled(seen, 'terminal:true');
    child.stdin.write('\x03');
    await settled(seen, 'SIGINT');
    await pause(300);
    child.stdin.write('\x1c');
    await settled(seen, 'SIGQUIT');
    expect(readFileSync(seen, 'utf8').match(/SIGINT/g)).toHaveLength(1);
    child.kill('SIGTERM');
    await ended;
  });
});

describe('beside a sidecar that runs', () => {
  test('a program uses that one, and leaves it running', async () => {
    const rig = startProcess(yaml(), { env: ENV });
    await rig.ready();
    const port = await rig.port('api');
    const { code, out } = await runCommand(rig.folder, ['run', '--', 'sh', '-c', 'echo "$API_URL"'], { env: ENV });
    expect([code, out]).toEqual([0, `http://127.0.0.1:${port}\n`]);
    expect((await rig.control.status()).ready).toBe(true);
    const other = place(yaml()).file;
    const refused = await runCommand(rig.folder, ['run', '-f', other, '--', 'echo', 'started'], { env: ENV });
    expect([refused.code, refused.out]).toEqual([78, '']);
    expect(refused.err).toContain('a sidecar runs already');
  });

  test('`env` prints for a shell what `run` gives a program', async () => {
    const rig = startProcess(yaml(), { env: ENV });
    await rig.ready();
    const env = { ...ENV, GITHUB_TOKEN: canary() };
    const { code, out, err } = await runCommand(rig.folder, ['env'], { env });
    expect([code, err]).toEqual([0, '']);
    const shell = spawnSync('sh', ['-c', `${out}\nenv`], { env: environment(rig.folder, env), encoding: 'utf8' });
    const program = await runCommand(rig.folder, ['run', '--', 'env'], { env });
    const lines = (text: string) =>
      text
        .split('\n')
        .filter((line) => !/^(_|PWD|SHLVL|OLDPWD)=/.test(line))
        .sort();
    keepArtefact('shell', shell.stdout);
    expect(lines(shell.stdout)).toEqual(lines(program.out));
    expect(shell.stdout).not.toContain(SECRET);
  });

  test('that another `run` started, it goes on for as long as the second program needs it', async () => {
    const folder = stateFolder();
    const file = join(folder, 'secretless.yml');
    const first = startProcess(yaml(), {
      folder,
      words: ['run', '-f', file, '--', 'sh', '-c', `until [ -e ${folder}/go ]; do sleep 0.05; done`],
      env: ENV,
    });
    await expect.poll(() => existsSync(controlSocketPath({ SECRETLESS_HOME: folder })), { timeout: 20_000 }).toBe(true);
    await expect.poll(() => first.control.status().then(({ ready }) => ready), { timeout: 20_000 }).toBe(true);
    const second = runCommand(
      folder,
      [
        'run',
        '--',
        'sh',
        '-c',
        `touch ${folder}/there; until [ -e ${folder}/over ]; do sleep 0.05; done; echo "$API_URL"`,
      ],
      { env: ENV },
    );
    await settledFile(join(folder, 'there'));
    writeFileSync(join(folder, 'go'), '');
    await expect.poll(() => first.stderr(), { timeout: 20_000 }).toContain('1 more programs use this sidecar');
    expect((await first.control.status()).ready).toBe(true);
    writeFileSync(join(folder, 'over'), '');
    expect((await second).out).toMatch(/^http:\/\/127\.0\.0\.1:\d+\n$/);
    expect(await first.ended).toEqual({ code: 0, signal: null });
  });
});

async function settledFile(path: string): Promise<void> {
  await expect.poll(() => existsSync(path), { timeout: 20_000 }).toBe(true);
}

describe('a credential itself', () => {
  const rules = (more: string) => `rules:\n  - { id: all, effect: allow, services: [api] }\n${more}`;
  const deliver = '  - { id: hand-over, effect: allow, services: [api], deliver: [value] }\n';

  test('is handed over where a rule says so, under the name that is asked for, and on record before', async () => {
    const shown =
      'grep -c delivery "$SECRETLESS_HOME/ledger.jsonl"; test "$TOKEN" = "$0" && echo same; env | grep -c canary';
    for (const [word, name] of [
      ['api.token=TOKEN', 'TOKEN'],
      ['api.token', 'API_TOKEN'],
    ] as const) {
      const script = shown.replaceAll('$TOKEN', `$${name}`);
      const { code, out, folder } = await run(yaml(rules(deliver)), ['--only', word, '--', 'sh', '-c', script, SECRET]);
      expect([code, out]).toEqual([0, '1\nsame\n1\n']);
      const [event] = ledgerLines(folder);
      expect(event).toMatchObject({ type: 'decision', result: 'allow', rule: 'hand-over', delivery: 'value' });
      expect(event).toHaveProperty('credentials.token');
    }
  });

  test.each([
    ['', 'default-deny'],
    [rules(''), 'default-deny'],
    [rules(`${deliver}  - { id: never, effect: deny, deliver: [value] }\n`), 'never'],
  ])('is refused by %j, by rule %s, with what would allow it', async (more, rule) => {
    const { code, out, err, folder } = await run(yaml(more), ['--only', 'api.token', '--', 'echo', 'started']);
    expect([code, out]).toEqual([70, '']);
    expect(err).toContain(rule);
    expect(err).toContain('deliver: [value]');
    expect(err).not.toContain(SECRET);
    expect(ledgerLines(folder)[0]).toMatchObject({ result: 'deny', rule, delivery: 'value' });
  });

  test.each([
    [['--only', 'api.tokem'], 'did you mean api.token?'],
    [['--only', 'api.token=1X'], 'service.credential=VARIABLE'],
    [['--only', 'api.token=A', '--only', 'api.token=A'], 'would be two credentials'],
    [['--only', 'api.token', '--service', 'api'], '--service is for listeners'],
  ])('that is asked for wrongly, %j, starts no program', async (words, text) => {
    const { code, out, err } = await run(yaml(rules(deliver)), [...words, '--', 'echo', 'started']);
    expect([code, out]).toEqual([64, '']);
    expect(err).toContain(text);
  });

  test('is not lent past the ledger of a sidecar that runs', async () => {
    const rig = startProcess(complete(yaml(rules(deliver))), { env: ENV });
    await rig.ready();
    const words = ['run', '-f', rig.file, '--only', 'api.token', '--', 'echo', 'started'];
    const { code, out, err } = await runCommand(rig.folder, words, { env: ENV });
    expect([code, out]).toEqual([70, '']);
    expect(err).toContain(`the sidecar with pid ${rig.child.pid} writes it`);
  });
});
