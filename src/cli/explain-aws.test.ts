import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../config/load.ts';
import { CATALOG } from '../main.ts';
import { Type } from '../schema.ts';
import { awsQuestionOf, awsText, explainAws, type AwsValues } from './explain-aws.ts';
import { explainLogin } from './explain-login.ts';
import { explainedText } from './explained.ts';
import { runCli } from './dispatch.ts';
import { recordedIo } from './testdata/recorded-io.ts';

const FILE = `version: '2'
services:
  cloud:
    connector: aws
    listenOn: tcp://127.0.0.1:8080
    target: https://s3.eu-central-1.amazonaws.com
    agent: reports
    config: { agents: { builder: {} } }
    credentials: { accessKey: { from: env, get: KEY } }
rules:
  - { id: no-payroll, effect: deny, aws: { buckets: [payroll] } }
  - { id: no-writes, effect: deny, methods: [PUT], hosts: ['*.amazonaws.com'], paths: ['/reports/**'] }
  - { id: reads, effect: allow, agents: [reports], aws: { services: [s3], actions: ['Get*'], buckets: [reports], keys: ['2026/*'] } }
  - { id: others, effect: allow, agents: [builder], aws: { regions: ['eu-*'] } }
  - { id: roles, effect: allow, aws: { services: [sts], actions: [AssumeRole, GetCallerIdentity] }, returnsCredentials: true }
`;

/** A stand-in by the same words: what is explained knows nothing of signatures. */
const aws = {
  name: 'aws',
  kind: 'http',
  config: Type.Object({ agents: Type.Record(Type.String(), Type.Object({})) }, { additionalProperties: false }),
  credentials: [],
  otherCredentials: 'anything',
};
const catalog = { ...CATALOG, connectors: [...CATALOG.connectors.filter(({ name }) => name !== 'aws'), aws] };
const { config, problems } = loadConfig(FILE, { file: 's.yml', environment: {}, home: '/state', catalog });

function explained(values: AwsValues, method = 'GET', target?: string): string {
  const question = awsQuestionOf('cloud', values, method, target);
  return explainAws(config!, question)
    .map((one) => explainedText(awsText(question), one))
    .join('');
}

test('the file of these tests is right', () => {
  expect(problems).toEqual([]);
});

test('a request to AWS is explained by what it asks for, also in case that its answer holds a credential', () => {
  const asked = { aws: 's3:GetObject', object: 'reports/2026/q1.csv', region: 'eu-central-1' };
  expect(explained(asked)).toBe(`s3:GetObject of "reports/2026/q1.csv" in "eu-central-1" on tcp://127.0.0.1:8080
  service cloud (aws), agent reports
  allowed by rule reads: the first allow rule that matches
  if the answer holds a credential: refused (policy-denied) by rule default-deny: the answer would hold a credential: only a rule with returnsCredentials allows it
  RULE        EFFECT  OUTCOME      WHY
  no-payroll  deny    passed over  bucket "reports" matches none of payroll
  no-writes   deny    passed over  the request has no method
  reads       allow   decides      all selectors match
`);
});

test('a rule that covers credentials is explained without a second answer, since there is one only', () => {
  expect(explained({ aws: 'sts:AssumeRole' })).toMatch(/^sts:AssumeRole on [^]*\n {2}allowed by rule roles/);
  expect(explained({ aws: 'sts:AssumeRole' })).not.toContain('if the answer');
});

test.each<[string, AwsValues, RegExp]>([
  [
    'an operation that cannot be read',
    { aws: 's3' },
    /^s3 request without an action on [^]*by rule no-payroll[^]*the request tells no bucket, which counts as a match/,
  ],
  ['another agent', { aws: 'ec2:RunInstances', agent: 'builder', region: 'eu-west-1' }, /agent builder\n.*rule others/],
  [
    'another region',
    { aws: 'ec2:RunInstances', agent: 'builder', region: 'us-east-1' },
    /"us-east-1" matches none of eu/,
  ],
  [
    'a copy',
    { aws: 's3:CopyObject', object: 'reports/a', 'copied-from': 'payroll/2026/march' },
    /^s3:CopyObject of "reports\/a" from "payroll\/2026\/march" on [^]*by rule no-payroll: denied/,
  ],
  ['a copy of a whole bucket', { aws: 's3:CopyObject', object: 'a', 'copied-from': 'b' }, /of "a" from "b" on/],
  ['a key alone', { aws: 's3:GetObject', object: '/a' }, /^s3:GetObject of key "a" on [^]*tells no bucket/],
  ['a key with a control character', { aws: 's3:GetObject', object: 'b/\u001b[2J' }, /of "b\/\\u001b\[2J" on/],
])('%s is told as what it is', (_name, values, text) => {
  expect(explained(values)).toMatch(text);
});

test('method, host and path of the request are for rules that look at them', () => {
  const put = { aws: 's3:PutObject', object: 'reports/2026/a' };
  const url = 'https://s3.eu-central-1.amazonaws.com/reports/2026/a?x=1';
  expect(explained(put, 'PUT', url)).toMatch(/by rule no-writes: denied/);
  expect(explained(put, 'PUT', url.replace('/2026', '//2026'))).toMatch(/\(path-ambiguous\) by rule no-writes/);
  expect(explained(put, 'GET', url)).toMatch(/no-writes +deny +passed over +method "GET" matches none of PUT/);
  expect(explained(put, 'PUT', '/reports/2026/a')).toMatch(/no-writes +deny +passed over +the request has no host/);
});

test('a login to such a service is no question', () => {
  expect(() => explainLogin(config!, { service: 'cloud', replication: false })).toThrow(
    'service "cloud" takes requests to AWS: say with --aws what is asked for',
  );
});

async function run(text: string, words: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'sl-explain-aws-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 's.yml'), text);
  const io = recordedIo({ env: { HOME: folder, SECRETLESS_HOME: folder } });
  const code = await runCli(['explain', '-f', join(folder, 's.yml'), ...words], io);
  return { code, out: io.out(), err: io.err() };
}

const REAL = `version: '2'
services:
  cloud:
    connector: aws
    listenOn: tcp://127.0.0.1:8080
    agent: reports
    credentials: { accessKeyId: { from: env, get: ID }, secretAccessKey: { from: env, get: KEY } }
`;

test('the command answers for a request to AWS, to machines too', async () => {
  const asked = ['--service', 'cloud', '--aws', 'sts:AssumeRole', '--region', 'eu-west-1', '--json'];
  const { code, out, err } = await run(REAL, asked);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const allowed = { allowed: true, credential: true };
  expect(JSON.parse(out)).toEqual([
    {
      listener: 'tcp://127.0.0.1:8080',
      service: 'cloud',
      connector: 'aws',
      agent: 'reports',
      aws: { service: 'sts', region: 'eu-west-1', action: 'AssumeRole' },
      ...allowed,
      reason: 'there are no rules: a listener may use its own services',
      rules: [],
      returningCredentials: expect.objectContaining({ allowed: false, credential: false, rule: 'default-deny' }),
    },
  ]);
});

test('a URL of such a service, which nobody can sign on a command line, is answered with what to ask', async () => {
  const { code, out } = await run(REAL, ['http://s3.eu-central-1.amazonaws.com/reports']);
  expect(code).toBe(0);
  expect(out).toMatch(/refused \(caller-unproven\).*; for a request to AWS ask with --service and --aws\n/);
});

const OTHER = `version: '2'
services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:8081
    target: https://api.example.com
    credentials: { token: { from: env, get: TOKEN } }
    config: { headers: { Authorization: 'Bearer {{ .token }}' } }
`;

test.each([
  [['--service', 'api', '--aws', 's3'], 'service "api" is of the connector http, and takes no requests to AWS'],
  [['--service', 'apj', '--aws', 's3'], 'no service "apj" in the file (did you mean api?)'],
  [['--service', 'api', '--aws', 'GetObject'], '--aws is a signing name and an operation, like s3:GetObject'],
  [['--service', 'api', '--aws', 's3:'], '--aws is a signing name and an operation, like s3:GetObject'],
  [['--aws', 's3:GetObject'], '--aws needs the name of its service: add --service'],
  [['--object', 'a', '/path'], '--object is of a request to AWS: add --aws service:Operation'],
  [['--service', 'api', '--copied-from=a/b'], '--copied-from is of a request to AWS: add --aws service:Operation'],
  [['--service', 'api', '--aws', 's3', '--database', 'a'], '--database is of a login, and --aws of a request to AWS'],
  [
    ['--service', 'api', '--aws', 's3', 'GET', 'no path'],
    'neither a URL nor a path that a request could have: "no path"',
  ],
  [['--service', 'api', '--aws', 's3', '*'], 'neither a URL nor a path that a request could have: "*"'],
])('%j is a usage error that says what to write', async (words, message) => {
  const { code, out, err } = await run(OTHER, words);
  expect({ code, out, err }).toEqual({
    code: 64,
    out: '',
    err: `secretless: ${message}\nrun \`secretless help\`\n`,
  });
});
