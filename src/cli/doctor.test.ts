import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { DoctorFinding } from '../connector/connector.ts';
import { canary } from '../../test/canary.ts';
import { hostKey, hostKeyPath } from '../sidecar/host-key.ts';
import { runCli } from './dispatch.ts';
import { recordedIo } from './testdata/recorded-io.ts';

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'doctor-'));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function examine(home: string, ...words: string[]) {
  const io = recordedIo({ env: { SECRETLESS_HOME: home, HOME: home } });
  const code = await runCli(['doctor', '--json', ...words], io);
  const { ok, findings } = JSON.parse(io.out()) as { ok: boolean; findings: DoctorFinding[] };
  const of = (name: string) => findings.find((one) => one.name.startsWith(name));
  return { code, ok, findings, of };
}

test('a machine that has all it needs is well, and slower ciphers are no illness', async () => {
  const { code, ok, findings, of } = await examine(join(folder(), 'none'));
  expect([code, ok]).toEqual([0, true]);
  expect(of('Node')?.verdict).toBe('good');
  expect(of('state folder')?.verdict).toBe('good');
  const ciphers = of('native ciphers of ssh2');
  if (ciphers?.verdict !== 'good') expect(ciphers).toMatchObject({ verdict: 'slower', next: expect.any(String) });
  expect(findings.every(({ verdict }) => verdict !== 'wrong')).toBe(true);
});

test('it makes nothing that is not there', async () => {
  const home = join(folder(), 'none');
  await examine(home);
  expect(() => chmodSync(home, 0o700)).toThrow('ENOENT');
});

test('a state folder or a host key that others may read is named with what to do', async () => {
  const home = join(folder(), 'state');
  mkdirSync(home, { mode: 0o755 });
  const open = await examine(home);
  expect([open.code, open.of('state folder')]).toEqual([
    78,
    { name: 'state folder', verdict: 'wrong', next: `${home} is open to others: chmod 700 ${home}` },
  ]);
  chmodSync(home, 0o700);
  await hostKey(home);
  expect((await examine(home)).of('host key')?.verdict).toBe('good');
  chmodSync(hostKeyPath(home), 0o644);
  const key = await examine(home);
  expect([key.code, key.of('host key')?.verdict]).toEqual([78, 'wrong']);
  expect(key.of('host key')?.next).toContain(`chmod 600 ${hostKeyPath(home)}`);
});

test('a state folder too deep for a socket is named', async () => {
  const { code, of } = await examine(join(folder(), 'x'.repeat(120)));
  expect([code, of('path of the control socket')?.verdict]).toEqual([78, 'wrong']);
});

test('a configuration is judged as `check` does', async () => {
  const home = folder();
  const file = join(home, 's.yml');
  writeFileSync(
    file,
    'version: "2"\nservices: { a: { connector: nope, listenOn: tcp://127.0.0.1:1, credentials: { a: b } } }\n',
  );
  const bad = await examine(home, '-f', file);
  expect(bad.code).toBe(78);
  expect(bad.of('configuration')?.next).toContain('unknown connector "nope"');
  const gone = await examine(home, '-f', join(home, 'gone.yml'));
  expect([gone.code, gone.of('configuration')?.verdict]).toEqual([78, 'wrong']);
});

test('a credential in the configuration is quoted by no finding, whatever is wrong with it', async () => {
  const home = folder();
  const file = join(home, 's.yml');
  const secrets = [canary(), canary(), canary()];
  const [key, pin, passphrase] = secrets;
  const services = {
    one: {
      connector: 'ssh',
      listenOn: 'tcp://127.0.0.1:1',
      credentials: { privateKey: key, hostKey: pin, passphrase },
    },
    two: {
      connector: 'ssh-agent',
      listenOn: 'unix:///x/a.sock',
      credentials: { deploy: key, confirm: pin, lifetime: pin },
    },
    three: { connector: 'ssh', listenOn: 'tcp://127.0.0.1:1', credentials: key },
  };
  writeFileSync(file, JSON.stringify({ version: '2', services }));
  const { code, findings } = await examine(home, '-f', file);
  expect(code).toBe(78);
  expect(findings.find(({ name }) => name.startsWith('configuration'))?.verdict).toBe('wrong');
  for (const secret of secrets) expect(JSON.stringify(findings)).not.toContain(secret);
});

test('people read a line for each thing', async () => {
  const io = recordedIo({ env: { SECRETLESS_HOME: join(folder(), 'none') } });
  expect(await runCli(['doctor'], io)).toBe(0);
  expect(io.out()).toMatch(/^good {2,4}Node \d+\.\d+\.\d+$/m);
});
