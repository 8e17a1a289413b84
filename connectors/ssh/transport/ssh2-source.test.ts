import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import stock from 'ssh2';
import { describe, expect, test } from 'vitest';
import { ssh2, checkShape, type Ssh2Config, type Ssh2Protocol } from './ssh2-protocol.ts';
import { fitSource } from './ssh2-source.ts';

const require = createRequire(import.meta.url);
const read = (file: string): string => readFileSync(require.resolve(`ssh2/lib/protocol/${file}`), 'utf8');

describe('the source of ssh2', () => {
  test('is changed in a few places and nowhere else', () => {
    const changed = (file: string): number => {
      const before = read(file).split('\n');
      const after = fitSource(file, read(file)).split('\n');
      expect(after.length).toBe(before.length);
      return after.filter((line, at) => line !== before[at]).length;
    };
    expect(['crypto.js', 'Protocol.js', 'kex.js', 'utils.js', 'handlers.misc.js'].map(changed)).toEqual([
      2, 2, 9, 0, 0,
    ]);
  });

  test('that is not the published one does not run', () => {
    expect(() => fitSource('kex.js', `${read('kex.js')} `)).toThrow('is not that of ssh2 1.17.0');
    expect(() => fitSource('new.js', '')).toThrow('is not that of ssh2 1.17.0');
  });

  test('stays as it was for whoever loaded it before', () => {
    expect(ssh2().native).toBeTypeOf('boolean');
    expect(stock.Server).toBeTypeOf('function');
  });
});

describe('a shape that does not fit', () => {
  const real = ssh2().create;

  test.each<[string, (made: Ssh2Protocol) => Ssh2Protocol]>([
    ['_onPayload', (made) => Object.assign(made, { _onPayload: undefined })],
    ['rekey', (made) => Object.assign(made, { rekey: undefined })],
    ['_kexinit', (made) => Object.assign(made, { _kexinit: 1 })],
    ['_strictMode', (made) => (delete (made as { _strictMode?: unknown })._strictMode, made)],
    ['_packetRW.write', (made) => Object.assign(made, { _packetRW: { write: {} } })],
    ['_hostVerifier', (made) => Object.assign(made, { _hostVerifier: () => true })],
  ])('in %s is an error', (name, change) => {
    expect(() => checkShape((config: Ssh2Config) => change(real(config)))).toThrow(`shape that is known: ${name}`);
  });

  test('is none as it is', () => {
    expect(() => checkShape(real)).not.toThrow();
  });
});
