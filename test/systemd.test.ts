import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { canary } from './canary.ts';
import { ask, startProcess, stateFolder } from './process-rig.ts';
import { startUpstream } from './rig.ts';
import { programPath } from './ssh/programs.ts';

/** The unit of systemd, as far as a machine shows it on which systemd may not run. */

const UNIT = 'release/systemd/secretless.service';
const unit = readFileSync(UNIT, 'utf8');
/** Of 10. The network, Unix sockets and machine code are what the product is; the rest should be shut. */
const EXPOSURE_MAX = 1.5;

const missing = programPath('systemd-analyze') === undefined ? 'there is no systemd-analyze' : undefined;

/** A copy whose programs are there, so that nothing but the unit is judged. */
function copyOfUnit(text = unit): string {
  const folder = mkdtempSync(join(tmpdir(), 'sl-unit-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'secretless.service');
  writeFileSync(file, text.replaceAll('/usr/local/bin/secretless', '/bin/sh'));
  return file;
}

function exposure(file: string): { readonly level: number; readonly text: string } {
  const { stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', file], {
    encoding: 'utf8',
  });
  return { level: Number(/exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]), text: stdout };
}

/** What systemd says against a unit. */
function against(file: string): string {
  const { stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' });
  const concerning = (line: string): boolean => line.includes('secretless');
  return `${stdout}${stderr}`.split('\n').filter(concerning).join('\n');
}

test('the unit leaves little open', ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  const { level, text } = exposure(copyOfUnit());
  expect(level, text).toBeLessThanOrEqual(EXPOSURE_MAX);
  // Without a line of it, the level is another: the measure measures this unit.
  expect(exposure(copyOfUnit(unit.replace('CapabilityBoundingSet=\n', ''))).level).toBeGreaterThan(level);
});

test('systemd has nothing against the unit', ({ skip }) => {
  if (missing !== undefined) return skip(missing);
  expect(against(copyOfUnit())).toBe('');
  expect(against(copyOfUnit(unit.replace('PrivateTmp', 'PrivateTemp')))).toContain('PrivateTemp');
});

test('the unit stops later than the sidecar drains, and does not start again what cannot start', () => {
  const seconds = (key: string): number => Number(new RegExp(`^${key}=(\\d+)s$`, 'm').exec(unit)?.[1]);
  // `limits.drain` is 25 s where nothing is said.
  expect(seconds('TimeoutStopSec')).toBeGreaterThan(25);
  expect(seconds('TimeoutStartSec')).toBeGreaterThan(30);
  expect(unit).toContain('RestartPreventExitStatus=64 78');
});

test('a secret that systemd loads is read as the unit says', async () => {
  const [, name] = /get: '\$\{CREDENTIALS_DIRECTORY\}\/(secret_[a-z-]+)'/.exec(unit)!;
  const credentials = join(stateFolder(), 'credentials');
  mkdirSync(credentials);
  const token = canary();
  writeFileSync(join(credentials, name!), token);
  // As systemd makes them.
  chmodSync(join(credentials, name!), 0o400);
  const upstream = await startUpstream();
  const sidecar = startProcess(
    `
services:
  github:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:${upstream.port}
    credentials: { token: { from: file, get: '\${CREDENTIALS_DIRECTORY}/${name}' } }
    config: { headers: { Authorization: 'Bearer {{ .token }}' } }
`,
    { env: { CREDENTIALS_DIRECTORY: credentials } },
  );
  await sidecar.ready();
  await ask(await sidecar.port('github'), '/');
  expect(upstream.requests[0]!.headers.authorization === `Bearer ${token}`).toBe(true);
});
