import { execFile, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { startPostgresServer } from '../src/cli/demo/postgres-server.ts';
import { verifyLedger } from '../src/ledger/verify.ts';
import { canary, keepArtefact } from './canary.ts';
import { composeFile, COMPOSE_FOLDER, composeText } from './compose-kit.ts';
import { codeBlocks, document } from './documents.ts';
import { freePorts, ledgerLines, startProcess, stateFolder } from './process-rig.ts';

/** The example without an engine: its configuration, its SQL, its API and its agent, with addresses of this machine. */

const compose = composeFile('compose.yml');

/** The database as the image makes it: the script of the folder, with the one line of psql's own written out. */
async function startDatabase(owner: string, password: string) {
  const hba = ['host all all 127.0.0.1/32 scram-sha-256'];
  const server = await startPostgresServer({ version: 17, hba, password: owner });
  if ('missing' in server) return server;
  onTestFinished(() => server.stop());
  const { host, port } = server;
  const execute = async (database: string, sql: string): Promise<void> => {
    const client = new Client({ host, port, user: 'postgres', password: owner, database });
    await client.connect();
    await client.query(sql);
    await client.end();
  };
  await execute('postgres', `CREATE DATABASE ${compose.services.db.environment!['POSTGRES_DB']}`);
  const line = /^\\set password `cat \/run\/secrets\/orders-password`$/m;
  const script = composeText('db/orders.sql');
  expect(script).toMatch(line);
  await execute('orders', script.replace(line, '').replace(":'password'", `'${password}'`));
  return server;
}

async function startApi(tokenFile: string, port: number): Promise<void> {
  const child = spawn(process.execPath, [join(COMPOSE_FOLDER, 'api/api.mjs')], {
    env: { TOKEN_FILE: tokenFile, PORT: String(port) },
    stdio: 'inherit',
  });
  onTestFinished(() => void child.kill());
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined))?.ok === true) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the API did not start');
}

interface Secrets {
  readonly folder: string;
  readonly password: string;
  readonly token: string;
}

function makeSecrets(folder: string): Secrets {
  const secrets = { folder: join(folder, 'secrets'), password: canary(), token: canary() };
  mkdirSync(secrets.folder, { mode: 0o700 });
  for (const [name, value] of [
    ['orders-password', secrets.password],
    ['prices-token', secrets.token],
  ] as const) {
    const file = join(secrets.folder, name);
    writeFileSync(file, `${value}\n`);
    // As the README has them, so that the sidecar's user may read what is mounted.
    chmodSync(file, 0o644);
  }
  return secrets;
}

test(
  'the agent of the example gets its answers from database and API, and holds nothing',
  { timeout: 90_000 },
  async (ctx) => {
    const folder = stateFolder();
    const secrets = makeSecrets(folder);
    const [apiPort, ...doors] = await freePorts(3);
    const database = await startDatabase(canary(), secrets.password);
    if ('missing' in database) return ctx.skip(database.missing);
    await startApi(join(secrets.folder, 'prices-token'), apiPort!);

    const mapped = composeText('secretless.yml')
      .replace('${SIDECAR_ADDRESS}:5432', `127.0.0.1:${doors[0]}`)
      .replace('${SIDECAR_ADDRESS}:8081', `127.0.0.1:${doors[1]}`)
      .replaceAll('/run/secrets/', `${secrets.folder}/`)
      .replace('host: db\n', `host: 127.0.0.1\n      port: '${database.port}'\n`)
      .replace('http://api:8080', `http://127.0.0.1:${apiPort}`);
    const sidecar = startProcess(mapped, { folder });
    await sidecar.ready();

    const [orders, prices] = [await sidecar.port('orders'), await sidecar.port('prices')];
    const { environment } = compose.services.agent;
    const env = {
      DATABASE_URL: environment!['DATABASE_URL']!.replace('sidecar:5432', `127.0.0.1:${orders}`),
      PRICES_URL: environment!['PRICES_URL']!.replace('sidecar:8081', `127.0.0.1:${prices}`),
    };
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(COMPOSE_FOLDER, 'agent/agent.mjs')], {
      env,
    });
    keepArtefact('agent', `${stdout}${stderr}`);
    const told = codeBlocks(document('config/examples/compose/README.md').text).find(
      ({ language }) => language === 'text',
    )!;
    expect(stdout).toBe(told.code);

    await expectClosedDoors(database.port, apiPort!);
    await sidecar.end();
    expect(
      ledgerLines(folder).flatMap(({ type, result, service }) => (type === 'decision' ? [`${service} ${result}`] : [])),
    ).toEqual(['orders allow', 'prices allow', 'prices allow', 'prices deny']);
    expect((await verifyLedger(join(folder, 'ledger.jsonl'))).ok).toBe(true);
  },
);

/** Without the sidecar neither lets anybody in who has nothing to show. */
async function expectClosedDoors(databasePort: number, apiPort: number): Promise<void> {
  expect((await fetch(`http://127.0.0.1:${apiPort}/v1/prices/tea`)).status).toBe(401);
  const direct = new Client({
    host: '127.0.0.1',
    port: databasePort,
    user: 'agent',
    database: 'orders',
    password: 'guess',
  });
  await expect(direct.connect()).rejects.toMatchObject({ code: '28P01' });
}

test('the agent says what went wrong where a rule refuses its login', { timeout: 60_000 }, async () => {
  const folder = stateFolder();
  const secrets = makeSecrets(folder);
  const doors = await freePorts(2);
  const mapped = composeText('secretless.yml')
    .replaceAll(/\$\{SIDECAR_ADDRESS\}:\d+/g, () => `127.0.0.1:${doors.pop()}`)
    .replaceAll('/run/secrets/', `${secrets.folder}/`)
    .replace('databases: [orders]', 'databases: [another]');
  const sidecar = startProcess(mapped, { folder });
  await sidecar.ready();
  const url = `postgres://127.0.0.1:${await sidecar.port('orders')}/orders`;
  const agent = promisify(execFile)(process.execPath, [join(COMPOSE_FOLDER, 'agent/agent.mjs')], {
    env: { DATABASE_URL: url },
  });
  await expect(agent).rejects.toMatchObject({
    stderr: expect.stringContaining('policy does not allow this use') as string,
  });
});
