import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { format, inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Secret } from './secret.ts';

const CANARY = 'canary-5f1c9e';
/** The bytes as inspect or JSON would show a Buffer. */
const TRACES = [CANARY, Buffer.from(CANARY).toString('hex').slice(0, 12), '99,97,110', '<Buffer', '63 61 6e'];

function printed(depth: number | null, ...values: unknown[]): string {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  new Console({ stdout: stream, inspectOptions: { depth, showHidden: true } }).log(...values);
  return text;
}

const ways: Readonly<Record<string, (secret: Secret) => string>> = {
  String: (secret) => String(secret),
  template: (secret) => `${secret as unknown as string}`,
  concatenation: (secret) => 'x' + (secret as unknown as string),
  JSON: (secret) => JSON.stringify({ secret, list: [secret] }),
  inspect: (secret) => inspect(secret),
  'inspect of everything hidden': (secret) =>
    inspect({ secret }, { depth: null, showHidden: true, customInspect: true }),
  'inspect without custom printing': (secret) =>
    inspect(secret, { showHidden: true, customInspect: false, depth: null }),
  'format %s': (secret) => format('%s', secret),
  'format %o': (secret) => format('%o', secret),
  'format %O': (secret) => format('%O', secret),
  'format %j': (secret) => format('%j', secret),
  'format without a place': (secret) => format('x', secret),
  'console.log of depth null': (secret) => printed(null, { deep: { deeper: { deepest: { secret } } } }),
  'console.log of depth 0': (secret) => printed(0, secret, [secret]),
  'the cause of an error': (secret) =>
    inspect(new Error('failed', { cause: secret }), { depth: null, showHidden: true }),
  'the message of an error': (secret) => new Error(secret as unknown as string).message,
  'the entries': (secret) => JSON.stringify(Object.entries(secret)) + inspect(Object.entries(secret)),
  'its property names': (secret) => JSON.stringify(Object.getOwnPropertyNames(secret)),
  'a spread': (secret) => inspect({ ...secret }, { depth: null, showHidden: true }),
  'Object.assign': (secret) => inspect(Object.assign({}, secret), { depth: null, showHidden: true }),
  structuredClone: (secret) => inspect(structuredClone(secret), { depth: null, showHidden: true }),
  'a URL': (secret) => new URLSearchParams({ secret: secret as unknown as string }).toString(),
};

describe('a secret does not print', () => {
  for (const [way, print] of Object.entries(ways)) {
    it(`by ${way}`, () => {
      const text = print(new Secret(CANARY));
      for (const trace of TRACES) expect(text).not.toContain(trace);
    });
  }

  it('while the same ways do print an object that is no secret', () => {
    const bare = { bytes: Buffer.from(CANARY) } as unknown as Secret;
    const leaks = Object.entries(ways).filter(([, print]) => TRACES.some((trace) => print(bare).includes(trace)));
    expect(leaks.length).toBeGreaterThan(10);
  });
});

describe('a secret owns its bytes', () => {
  it('lends what it was given, text or bytes', () => {
    expect(new Secret('grüß').expose((bytes) => bytes.toString())).toBe('grüß');
    expect(new Secret('grüß').length).toBe(6);
    expect(new Secret(Uint8Array.of(0, 255)).expose((bytes) => [...bytes])).toEqual([0, 255]);
    expect(new Secret('').length).toBe(0);
  });

  it('keeps its bytes when the caller overwrites its own', () => {
    const given = Buffer.from(CANARY);
    const secret = new Secret(given);
    given.fill(0);
    expect(secret.expose((bytes) => bytes.toString())).toBe(CANARY);
  });

  it('shares no memory with other buffers', () => {
    expect(new Secret(CANARY).expose((bytes) => bytes.buffer.byteLength)).toBe(CANARY.length);
  });

  it('is all zeros and out of reach once wiped', () => {
    const secret = new Secret(CANARY);
    const kept = secret.expose((bytes) => bytes);
    expect(secret.wiped).toBe(false);
    secret.wipe();
    expect(secret.wiped).toBe(true);
    expect(kept.every((byte) => byte === 0)).toBe(true);
    expect(() => secret.expose(() => 'never')).toThrow('wiped');
  });
});
