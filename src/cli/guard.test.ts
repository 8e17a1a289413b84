import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { refusal } from './guard.ts';

const GOOD = { node: '24.18.1', execArgv: [], env: {}, inspector: undefined };

test.each(['24.18.1', '24.19.0', '26.5.1', '26.6.0', '27.0.0', '28.1.0'])('Node %s may run it', (node) => {
  expect(refusal({ ...GOOD, node })).toBeUndefined();
});

test.each(['18.0.0', '20.20.2', '22.30.0', '24.18.0', '24.2.9', '25.9.0', '26.5.0', '26.0.0'])(
  'Node %s may not',
  (node) => {
    expect(refusal({ ...GOOD, node })).toContain('not supported');
  },
);

test('package.json names the same versions', () => {
  const { engines } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    engines: { node: string };
  };
  expect(engines.node).toBe('^24.18.1 || >=26.5.1');
});

test.each(['--inspect', '--inspect=0', '--inspect-brk', '--inspect-wait', '--inspect_brk', '--inspect-port=1'])(
  '%s is refused on the command line and in NODE_OPTIONS',
  (option) => {
    expect(refusal({ ...GOOD, execArgv: ['--enable-source-maps', option] })).toContain('inspector');
    expect(refusal({ ...GOOD, env: { NODE_OPTIONS: `--enable-source-maps ${option}` } })).toContain('inspector');
  },
);

test('quotes in NODE_OPTIONS hide nothing', () => {
  expect(refusal({ ...GOOD, env: { NODE_OPTIONS: '"--ins"pect=0' } })).toContain('inspector');
});

test('an inspector is allowed where the operator says so', () => {
  const env = { SECRETLESS_ALLOW_INSPECT: '1' };
  expect(refusal({ ...GOOD, execArgv: ['--inspect'], env })).toBeUndefined();
});

test('other options are none of our business', () => {
  expect(
    refusal({ ...GOOD, execArgv: ['--conditions=secretless-source'], env: { NODE_OPTIONS: '--use-openssl-ca' } }),
  ).toBeUndefined();
});

test('an inspector that is open already is refused, unless it is allowed', () => {
  const inspector = 'ws://127.0.0.1:9229/x';
  expect(refusal({ ...GOOD, inspector })).toContain('inspector');
  expect(refusal({ ...GOOD, inspector, env: { SECRETLESS_ALLOW_INSPECT: '1' } })).toBeUndefined();
});

test.each(['--heapsnapshot-signal=SIGUSR2', '--heap_prof', '--report-on-fatalerror'])('%s is refused', (option) => {
  expect(refusal({ ...GOOD, execArgv: [option] })).toContain('writes memory');
  expect(refusal({ ...GOOD, env: { NODE_OPTIONS: option } })).toContain('writes memory');
});
