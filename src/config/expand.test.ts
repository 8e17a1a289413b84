import { expect, test } from 'vitest';
import { errors, file, load } from './testdata/catalogs.ts';

const environment = {
  HOST: 'api.example.com',
  EVIL: 'a: {b: [1',
  SECRET: 'canary-1f',
  RATE: '30',
  EMPTY: '',
  YES: 'true',
};

test('a variable is put in place of ${NAME} in any text', () => {
  const { config } = load(file({ service: 'agent: "a-${HOST}-b"' }), { environment });
  expect(config?.services[0]?.agent).toBe('a-api.example.com-b');
});

test('a variable that is not set is named, and the empty one is set', () => {
  expect(errors(file({ service: 'agent: ${MISSING}' }), { environment })).toContain(
    '9:12 environment variable MISSING is not set',
  );
  expect(errors(file({ credentials: '{ token: "${EMPTY}" }' }), { environment })).toEqual([]);
});

test('a variable that only the prototype has is not set', () => {
  expect(errors(file({ service: 'agent: ${toString}' }), { environment })).not.toEqual([]);
});

test('$${ stands for the characters themselves', () => {
  const { config, normalized } = load(file({ service: 'agent: "$${HOST}"' }), { environment });
  expect(config?.services[0]?.agent).toBe('${HOST}');
  expect(normalized).toMatchObject({ services: { api: { agent: '$${HOST}' } } });
});

test('what a variable holds is never read as YAML', () => {
  const { config } = load(file({ service: 'agent: ${EVIL}' }), { environment });
  expect(config?.services[0]?.agent).toBe('a: {b: [1');
});

test('what a variable holds is not expanded again', () => {
  const { config } = load(file({ service: 'agent: ${OUTER}' }), { environment: { OUTER: '${HOST}', HOST: 'x' } });
  expect(config?.services[0]?.agent).toBe('${HOST}');
});

test('a variable never becomes a key', () => {
  expect(errors(file({ top: '"${HOST}": {}' }), { environment })).toEqual(['10:1 unknown key "${HOST}"']);
});

test('a variable may bring a number where the grammar asks for one', () => {
  const top = 'rules: [{ id: a, effect: allow, rate: { perMinute: "${RATE}" } }]';
  expect(errors(file({ top }), { environment })).toEqual(['10:52 must be a whole number']);
  expect(errors(file({ top: top.replaceAll('"', '') }), { environment })).not.toEqual([]);
  const block = 'rules:\n  - id: a\n    effect: allow\n    rate:\n      perMinute: ${RATE}';
  expect(load(file({ top: block }), { environment }).config?.rules?.[0]?.rate?.perMinute).toBe(30);
});

test('a reference that is no name is refused and told how to write the characters', () => {
  expect(errors(file({ service: 'agent: "${a b}"' }), { environment })[0]).toContain('write $${');
  expect(errors(file({ service: 'agent: "${HOST"' }), { environment })[0]).toContain('write $${');
});

test('what a variable brings into a credential appears in no problem and not in the print', () => {
  const result = load(file({ credentials: '{ token: "${SECRET}\\n" }' }), { environment });
  expect(result.problems.length).toBeGreaterThan(0);
  expect(JSON.stringify(result)).not.toContain('canary-1f');
});

test('a value with a variable that is not set is reported once, whatever it is for', () => {
  const written =
    'version: 2\nservices: { a: { connector: http, listenOn: "tcp://127.0.0.1:${NO_PORT}", target: "http://h:${NO_PORT}" } }\n';
  const said = errors(written, { environment }).filter((line) => /port/i.test(line));
  expect(said).toEqual([expect.stringContaining('NO_PORT is not set'), expect.stringContaining('NO_PORT is not set')]);
});
