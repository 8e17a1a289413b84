import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { explainLogin, loginText, type Login } from './explain-login.ts';
import { explainedText } from './explained.ts';
import { loadConfig } from '../config/load.ts';
import { CATALOG } from '../main.ts';
import { Type } from '../schema.ts';
import { runCli } from './dispatch.ts';
import { recordedIo } from './testdata/recorded-io.ts';

const FILE = `version: '2'
services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:8081
    target: https://api.example.com
    credentials: { token: { from: env, get: TOKEN } }
    config: { headers: { Authorization: 'Bearer {{ .token }}' } }
  orders-db:
    connector: pg
    listenOn: [tcp://127.0.0.1:5432, unix:///run/.s.PGSQL.5432]
    agent: checkout
    credentials: { host: db.internal, username: orders, password: { from: env, get: PASSWORD } }
rules:
  - { id: no-payroll, effect: deny, databases: [payroll] }
  - { id: dumps, effect: allow, applications: [pg_dump], rate: { perMinute: 1 } }
  - { id: orders, effect: allow, agents: [checkout], databases: [orders], replication: false }
  - { id: reads, effect: allow, methods: [GET] }
`;

/** A stand-in by the same words: what is explained knows nothing of the protocol. */
const pg = {
  name: 'pg',
  kind: 'stream',
  config: Type.Object({}, { additionalProperties: false }),
  credentials: [],
  otherCredentials: 'anything',
};
const catalog = { ...CATALOG, connectors: [...CATALOG.connectors.filter(({ kind }) => kind === 'http'), pg] };
const { config } = loadConfig(FILE, { file: 's.yml', environment: {}, home: '/state', catalog });

function explained(login: Partial<Login>): string[] {
  const whole = { service: 'orders-db', replication: false, ...login };
  return explainLogin(config!, whole).map((one) => explainedText(loginText(whole), one));
}

test('a login is explained for each listener of its service, with the rule that decides and those before it', () => {
  const [first, second, ...more] = explained({ database: 'orders', application: 'psql' });
  expect(first).toBe(`login to database "orders" as application "psql" on tcp://127.0.0.1:5432
  service orders-db (pg), agent checkout
  allowed by rule orders: the first allow rule that matches
  RULE        EFFECT  OUTCOME      WHY
  no-payroll  deny    passed over  database "orders" matches none of payroll
  dumps       allow   passed over  application "psql" matches none of pg_dump
  orders      allow   decides      all selectors match
`);
  expect(second).toContain(' on unix:///run/.s.PGSQL.5432\n');
  expect(more).toEqual([]);
});

test.each<[string, Partial<Login>, RegExp]>([
  [
    'a denied database',
    { database: 'payroll' },
    /^login to database "payroll" on [^]*refused \(policy-denied\) by rule no-payroll/,
  ],
  [
    'a stream',
    { database: 'orders', replication: true },
    /^login to database "orders" for a replication stream on [^]*by rule default-deny/,
  ],
  ['a login that says nothing', {}, /^login on [^]*no-payroll +deny +passed over +the request has no database/],
  ['an empty name', { application: '' }, /^login as application "" on [^]*application "" matches none of pg_dump/],
  ['a name with a control character', { database: 'a\u001b[2J' }, /^login to database "a\\u001b\[2J" on /],
])('%s is told as what it is', (_name, login, text) => {
  expect(explained(login)[0]).toMatch(text);
});

test('explaining a login takes nothing from its rate', () => {
  for (let asked = 0; asked < 3; asked += 1) {
    expect(explained({ application: 'pg_dump' })[0]).toContain('allowed by rule dumps');
  }
});

async function run(...words: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'sl-explain-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 's.yml'), FILE);
  const io = recordedIo({ env: { HOME: folder, SECRETLESS_HOME: folder } });
  const code = await runCli(['explain', '-f', join(folder, 's.yml'), ...words], io);
  return { code, out: io.out(), err: io.err() };
}

test.each([
  [[], 'explain needs a URL, a path and --listener, or --service for a login'],
  [['--database', 'orders'], '--database is of a login: name its service with --service'],
  [['--replication', '/path'], '--replication is of a login: name its service with --service'],
  [['--application=psql', 'GET', '/path'], '--application is of a login: name its service with --service'],
  [['--service', 'orders-db', 'GET'], 'explain takes a request or --service, "GET" is too many'],
  [['--service', 'order-db'], 'no service "order-db" in the file (did you mean orders-db?)'],
  [['--service', 'api'], 'service "api" takes HTTP requests: explain a URL, or a path and --listener'],
  [['--service', 'orders-db', '--listener', 'tcp://127.0.0.1:8081'], 'no listener of that address takes this'],
  [['--listener', 'tcp://127.0.0.1:5432', '/path'], 'no listener of that address takes this'],
  [['--listener', 'tcp://127.0.0.1:1', '/path'], 'no listener of that address in the file'],
])('%j is a usage error that says what to write', async (words, message) => {
  expect(await run(...words)).toEqual({ code: 64, out: '', err: `secretless: ${message}\nrun \`secretless help\`\n` });
});

test('the command answers for one listener of a login, to machines too', async () => {
  const asked = ['--service', 'orders-db', '--listener', 'unix:///run/.s.PGSQL.5432', '--database', 'orders'];
  const { code, out, err } = await run(...asked, '--json');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(JSON.parse(out)).toMatchObject([
    {
      listener: 'unix:///run/.s.PGSQL.5432',
      service: 'orders-db',
      connector: 'postgres',
      agent: 'checkout',
      database: 'orders',
      replication: false,
      credential: true,
      allowed: true,
      rule: 'orders',
      rules: [{ rule: 'no-payroll' }, { rule: 'dumps' }, { rule: 'orders', decides: true }],
    },
  ]);
  expect(JSON.parse(out)).toHaveLength(1);
});

test('the command answers for a request beside services that take none', async () => {
  const { code, out } = await run('GET', '/user');
  expect(code).toBe(0);
  expect(out).toMatch(/^GET \/user on tcp:\/\/127\.0\.0\.1:8081\n/);
  expect(out).toMatch(/orders +allow +passed over +agent "local" matches none of checkout/);
  expect(out).toMatch(/reads +allow +decides/);
});
