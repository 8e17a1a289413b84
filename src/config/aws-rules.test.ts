import { describe, expect, test } from 'vitest';
import { Type } from '../schema.ts';
import { checkRules } from '../policy/decide.ts';
import { load, shown, wholeCatalog } from './testdata/catalogs.ts';

/** With keys for agents, as the connector takes them. */
const catalog = {
  ...wholeCatalog,
  connectors: wholeCatalog.connectors.map((connector) =>
    connector.name === 'aws'
      ? { ...connector, config: Type.Object({ agents: Type.Optional(Type.Record(Type.String(), Type.Object({}))) }) }
      : connector,
  ),
};

function file(rules: string): string {
  return `version: '2'
services:
  storage:
    connector: aws
    listenOn: tcp://127.0.0.1:8080
    target: https://s3.eu-central-1.amazonaws.com
    credentials: { privateKey: { from: env, get: KEY } }
  orders-db:
    connector: pg
    listenOn: tcp://127.0.0.1:5432
    credentials: { host: db.internal }
rules:
${rules}
`;
}

function read(rest: string, effect = 'allow') {
  return load(file(`  - { id: a, effect: ${effect}, ${rest} }`), { catalog, checkRules });
}

const errors = (rest: string, effect?: string): string[] => shown(read(rest, effect), 'error');
const warned = (rest: string): unknown[] =>
  read(rest).problems.map(({ severity, message, suggestion }) => [severity, message, suggestion]);

describe('rules on requests to Amazon Web Services', () => {
  test('come out as they are written', () => {
    const { config, problems } = read(
      'aws: { services: [s3], regions: ["eu-*"], actions: [GetObject, "List*"], buckets: [reports], keys: ["2026/*"] }, returnsCredentials: true',
    );
    expect(problems).toEqual([]);
    expect(config?.rules).toEqual([
      {
        id: 'a',
        effect: 'allow',
        aws: {
          services: ['s3'],
          regions: ['eu-*'],
          actions: ['GetObject', 'List*'],
          buckets: ['reports'],
          keys: ['2026/*'],
        },
        returnsCredentials: true,
      },
    ]);
  });

  test.each([
    ['aws: {}', '13:34 must not be empty'],
    ['aws:', '13:34 must be a map'],
    ['aws: s3', '13:34 must be a map'],
    ['aws: [s3]', '13:34 must be a map'],
    ['aws: { action: [GetObject] }', '13:36 unknown key "action"'],
    ['aws: { actions: [] }', '13:45 must not be empty'],
    ['aws: { actions: GetObject }', '13:45 must be a list'],
    ['aws: { buckets: [""] }', '13:46 must not be empty'],
    ['aws: { keys: [1] }', '13:43 must be text: write it in quotes'],
    ['aws: { services: ["s3:GetObject"] }', '13:47 a signing name is of letters, digits and hyphens'],
    ['aws: { regions: ["eu central"] }', '13:46 a region is of letters, digits and hyphens'],
    ['aws: { actions: ["Get Object"] }', '13:46 an action is the name of an operation, like GetObject'],
    ['aws: { actions: ["s3:GetObject"] }', '13:46 an action has no service before it: write "s3" in `services`'],
    ['aws: { buckets: [reports/2026] }', '13:46 a bucket is a plain name: what follows a slash belongs in `keys`'],
    ['aws: { buckets: ["arn:aws:s3:::a"] }', '13:46 a bucket is a plain name: what follows a slash belongs in `keys`'],
    ['aws: { keys: ["s3://a/b"] }', '13:43 a key is what follows the bucket and its slash'],
    ['returnsCredentials: "true"', '13:49 must be true or false'],
    ['returnsCredentials: maybe', '13:49 must be true or false'],
    ['returnCredentials: true', '13:29 unknown key "returnCredentials"'],
  ])('%s is refused', (rest, message) => {
    expect(errors(rest)).toEqual([message]);
    expect(read(rest).config).toBeUndefined();
  });

  test('a rule that denies what returns no credentials is refused', () => {
    expect(errors('returnsCredentials: false', 'deny')).toEqual([
      '13:48 of a rule that denies this is true, or left out',
    ]);
    expect(errors('returnsCredentials: true', 'deny')).toEqual([]);
    expect(errors('returnsCredentials: false')).toEqual([]);
  });

  test.each([
    ['services: [cloudwatch]', 'requests are not signed for this name', 'monitoring'],
    ['services: [OpenSearch]', 'requests are not signed for this name', 'es'],
    ['services: [S3]', 'names are compared exactly, and signing names are lower case', 's3'],
    ['regions: [EU-central-1]', 'names are compared exactly, and regions are lower case', 'eu-central-1'],
    ['actions: [getObject]', 'actions are compared exactly, and begin with a capital', 'GetObject'],
    ['keys: ["/a"]', 'keys have no slash at their beginning, unless it is part of their name', undefined],
    ['keys: ["a%20b"]', 'keys are compared decoded: `%20` is three characters here', undefined],
  ])('%s is warned about', (lists, message, suggestion) => {
    expect(warned(`aws: { ${lists} }`)).toEqual([['warning', message, suggestion]]);
  });

  test('what is refused tells the word that was meant', () => {
    expect(read('aws: { action: [GetObject] }').problems[0]?.suggestion).toBe('actions');
    expect(read('aws: { actions: ["s3:GetObject"] }').problems[0]?.suggestion).toBe('GetObject');
    expect(read('returnCredentials: true').problems[0]?.suggestion).toBe('returnsCredentials');
  });

  test('a rule that no service of that connector is behind is warned about, and others are not', () => {
    const never = 'no service that the rule is about is of the connector aws, so that the rule never matches';
    expect(warned('services: ["orders-*"], aws: { services: [s3] }')).toEqual([['warning', never, undefined]]);
    expect(warned('services: ["orders-*", storage], aws: { services: [s3] }')).toEqual([]);
    expect(warned('services: ["*"], aws: { services: [s3] }')).toEqual([]);
    expect(warned('services: [orders-db]')).toEqual([]);
    expect(warned('services: [storag], aws: { services: [s3] }')).toEqual([
      ['warning', 'no service has this name', 'storage'],
    ]);
  });

  test('in a file without that connector it is warned about too', () => {
    const text = file('  - { id: a, effect: allow, aws: { services: [s3] } }').replace(
      'connector: aws',
      'connector: http',
    );
    expect(shown(load(text, { catalog }), 'warning')).toContain(
      '13:29 no service of the file is of the connector aws, so that the rule never matches',
    );
  });

  test('agents that a connector tells apart by their keys are known by name', () => {
    const named = file('  - { id: a, effect: allow, agents: [builder, biulder] }').replace(
      'target:',
      'config: { agents: { builder: {} } }\n    target:',
    );
    expect(load(named, { catalog }).problems).toMatchObject([
      { severity: 'warning', message: 'no agent has this name', path: 'rules.0.agents.1', suggestion: 'builder' },
    ]);
  });
});
