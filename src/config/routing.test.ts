import { describe, expect, test } from 'vitest';
import { errors, load, warnings } from './testdata/catalogs.ts';

interface Written {
  readonly name: string;
  readonly connector?: string;
  readonly port?: number;
  readonly lines?: readonly string[];
}

function file(...services: readonly Written[]): string {
  const lines = services.flatMap(({ name, connector = 'router', port = 8081, lines = [] }) => [
    `  ${name}:`,
    `    connector: ${connector}`,
    `    listenOn: tcp://127.0.0.1:${port}`,
    '    credentials: { key: { from: env, get: KEY } }',
    ...lines.map((line) => `    ${line}`),
  ]);
  return ['version: "2"', 'services:', ...lines].join('\n');
}

const MATCHING = ["config: { forceSSL: true, authenticateURLsMatching: '^http://x\\.example/' }"];

describe('a connector that routes', () => {
  test('needs neither a target nor patterns', () => {
    expect(errors(file({ name: 'cloud' }))).toEqual([]);
    expect(warnings(file({ name: 'cloud' }))).toEqual([]);
    expect(load(file({ name: 'cloud' })).config?.services[0]).toMatchObject({ match: [], connector: 'router' });
  });

  test('may have a target, or patterns, as any other', () => {
    expect(errors(file({ name: 'cloud', lines: ['target: https://x.example'] }))).toEqual([]);
    expect(errors(file({ name: 'cloud', lines: MATCHING }))).toEqual([]);
    expect(errors(file({ name: 'cloud', lines: ['target: https://x.example', ...MATCHING] }))).toEqual([
      expect.stringContaining('exclude each other'),
    ]);
  });

  test('has no use for `unmatched`, its own or that of a service beside it', () => {
    const api = { name: 'api', connector: 'http', lines: [...MATCHING, 'unmatched: pass'] };
    expect(errors(file({ name: 'cloud', lines: ['unmatched: pass'] }))).toEqual([
      '7:5 `unmatched` has no effect: router decides on every request itself',
    ]);
    expect(errors(file(api, { name: 'cloud' }))).toEqual([
      '8:5 has no effect beside service "cloud", which takes whatever nothing else matches',
    ]);
    expect(errors(file(api, { name: 'cloud', port: 8082 }))).toEqual([]);
  });

  test('shares an address with services that have a target or patterns', () => {
    const target = { name: 'api', connector: 'http', lines: ['target: https://x.example'] };
    expect(errors(file(target, { name: 'cloud' }))).toEqual([]);
    expect(errors(file({ name: 'api', connector: 'http', lines: MATCHING }, { name: 'cloud' }))).toEqual([]);
  });

  test('shares none with another that routes', () => {
    expect(errors(file({ name: 'a' }, { name: 'b' }))).toEqual([
      expect.stringContaining('service "a" finds out itself where requests to this address go: give one another port'),
    ]);
    expect(errors(file({ name: 'a' }, { name: 'b', port: 8082 }))).toEqual([]);
    expect(errors(file({ name: 'a' }, { name: 'b', lines: ['target: https://x.example'] }))).toEqual([]);
  });
});

test('a connector that does not route needs a direction still', () => {
  expect(errors(file({ name: 'api', connector: 'http' }))).toEqual([expect.stringContaining('needs a `target`')]);
});
