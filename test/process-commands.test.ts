import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { canary } from './canary.ts';
import {
  ask,
  complete,
  runCommand,
  startProcess,
  stateFolder,
  type CommandResult,
  type ProcessRig,
} from './process-rig.ts';
import { startUpstream } from './rig.ts';

/** One running sidecar, and the command beside it. */
async function startBeside(words?: (file: string) => readonly string[]) {
  const upstream = await startUpstream();
  const folder = stateFolder();
  const yaml = `
services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:${upstream.port}
    credentials: { token: { from: env, get: API_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
rules:
  - { id: no-deletes, effect: deny, methods: [DELETE] }
  - { id: all-else, effect: allow }
`;
  const file = join(folder, 'secretless.yml');
  const rig = startProcess(yaml, {
    folder,
    env: { API_TOKEN: canary() },
    ...(words === undefined ? {} : { words: words(file) }),
  });
  await rig.ready();
  const run = (line: string): Promise<CommandResult> =>
    runCommand(folder, line.split(' '), { env: { API_TOKEN: canary() } });
  return { rig, run, folder, file, port: await rig.port('api') };
}

function json(result: CommandResult): Record<string, unknown> {
  expect(result).toMatchObject({ code: 0, err: '' });
  return JSON.parse(result.out) as Record<string, unknown>;
}

const good = (out: RegExp) => ({ code: 0, err: '', out: expect.stringMatching(out) as string });

test('wait-ready, status, explain, ledger and stop beside a running sidecar', async () => {
  const { rig, run, port } = await startBeside();
  expect(await run('wait-ready --timeout 10')).toEqual({ code: 0, out: 'ready\n', err: '' });
  expect(json(await run('wait-ready --json'))).toEqual({ ready: true, reasons: [] });
  expect((await ask(port, '/one')).status).toBe(200);
  expect((await ask(port, '/two', { method: 'DELETE' })).status).toBe(403);
  expect(await run('status')).toMatchObject(good(new RegExp(`pid +${rig.child.pid}[^]*127\\.0\\.0\\.1:${port}`)));
  expect(json(await run('status --json'))).toMatchObject({
    pid: rig.child.pid,
    ready: true,
    services: [{ name: 'api' }],
  });
  expect(await run('explain --listener tcp://127.0.0.1:0 DELETE /two')).toMatchObject(
    good(/refused \(policy-denied\) by rule no-deletes/),
  );
  const explained = json(await run('explain --json /one')) as unknown as readonly object[];
  expect(explained[0]).toMatchObject({ service: 'api', allowed: true, rule: 'all-else', credential: true });
  expect(await run('ledger verify')).toMatchObject(good(/: good, \d+ lines in 1 files/));
  expect(json(await run('ledger verify --json'))).toMatchObject({ ok: true, problems: [] });
  const tail = await run('ledger tail --lines 50 --json');
  expect(tail.out).toMatch(/"path":"\/one"/);
  expect(tail.out).toMatch(/"rule":"no-deletes"/);
  expect(await run('stop')).toEqual({ code: 0, err: '', out: `stopped (pid ${rig.child.pid})\n` });
  expect(await rig.ended).toEqual({ code: 0, signal: null });
  expect(await run('ledger verify')).toMatchObject(good(/good/));
}, 60_000);

test('status, stop and wait-ready without a sidecar fail and say what to do', async () => {
  const folder = stateFolder();
  for (const words of [['status'], ['stop'], ['wait-ready', '--timeout', '0.1']]) {
    const { code, out, err } = await runCommand(folder, words);
    expect({ code, out }).toEqual({ code: 70, out: '' });
    expect(err).toContain('no sidecar answers on the control socket');
  }
  const { code, err } = await runCommand(folder, ['status', '--json']);
  expect(code).toBe(70);
  expect(JSON.parse(err)).toMatchObject({ error: { code: 'not-running' } });
});

test('check tells good from bad, in words and in JSON', async () => {
  const folder = stateFolder();
  const [fine, broken] = [join(folder, 'fine.yml'), join(folder, 'broken.yml')];
  const secret = canary();
  const yaml = complete(
    `services: { api: { connector: http, listenOn: "tcp://127.0.0.1:1", target: "https://api.example", credentials: { token: ${secret} }, config: { headers: { A: "{{ .token }}" } } } }`,
  );
  writeFileSync(fine, yaml);
  writeFileSync(broken, yaml.replace('target', 'tagret'));
  const checked = await runCommand(folder, ['check', '-f', fine]);
  expect(checked).toMatchObject({
    code: 0,
    out: `${fine}: good\n`,
    err: expect.stringMatching(/fine\.yml:2:\d+: warning/),
  });
  const printed = await runCommand(folder, ['check', '-f', fine, '--print']);
  expect(printed.out).toContain('[secret]');
  expect(printed.out).not.toContain(secret);
  expect(json(await runCommand(folder, ['check', '-f', fine, '--json']))).toMatchObject({ ok: true });
  const bad = await runCommand(folder, ['check', '-f', broken]);
  expect(bad).toMatchObject({
    code: 78,
    out: '',
    err: expect.stringMatching(/broken\.yml:\d+:\d+: error: .*tagret.*target/),
  });
  const badJson = await runCommand(folder, ['check', '-f', broken, '--json']);
  expect(badJson.code).toBe(78);
  expect(JSON.parse(badJson.out)).toMatchObject({ ok: false });
});

test('version, help and schema', async () => {
  const folder = stateFolder();
  expect(await runCommand(folder, ['version'])).toMatchObject(good(/^secretless \d+\.\d+\.\d+\n$/));
  expect(json(await runCommand(folder, ['version', '--json']))).toMatchObject({
    version: expect.any(String) as string,
  });
  expect(await runCommand(folder, ['-version'])).toMatchObject(good(/^secretless \d/));
  expect(await runCommand(folder, ['help'])).toMatchObject(good(/start[^]*wait-ready[^]*Exit codes/));
  expect(await runCommand(folder, ['help', 'start'])).toMatchObject(good(/--watch/));
  expect(json(await runCommand(folder, ['schema']))).toHaveProperty('else.properties.services');
});

test('demo ends with 0 and every row right', async () => {
  const folder = stateFolder();
  const result = await runCommand(folder, ['demo']);
  expect(result.out).toContain('every row is right');
  expect(result).toMatchObject({ code: 0, err: '' });
}, 60_000);

test("a command line of CyberArk's broker starts, logs debug and watches", async () => {
  const { rig, file } = await startBeside((path) => ['-f', path, '-watch', '-debug']);
  writeFileSync(file, readFileSync(file, 'utf8').replace('no-deletes', 'none-deleted'));
  expect(await rig.line(({ message }) => message === 'configuration reloaded')).toMatchObject({ services: 1 });
  expect(await rig.end('SIGINT')).toEqual({ code: 0, signal: null });
});

test('ledger tail --follow goes on until it is ended', async () => {
  const { rig, folder, port } = await startBeside();
  const tail: ProcessRig = startProcess('services: {}', {
    folder: stateFolder(),
    words: ['ledger', 'tail', join(folder, 'ledger.jsonl'), '--follow', '--json'],
  });
  let printed = '';
  const seen = new Promise<void>((resolve) => {
    tail.child.stdout!.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
      if (printed.includes('/followed')) resolve();
    });
  });
  onTestFinished(() => void tail.child.kill('SIGKILL'));
  expect((await ask(port, '/followed')).status).toBe(200);
  await seen;
  expect((await rig.end()).code).toBe(0);
});
