import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { formatProblem } from '../src/config/problem.ts';
import { readConfig } from '../src/main.ts';
import { composeFile, COMPOSE_FILES, COMPOSE_FOLDER, composeText, networksOf, readByCompose } from './compose-kit.ts';
import { COMPOSE_SCHEMA } from './compose-schema.ts';
import { document, root, tableRows } from './documents.ts';
import { temporaryFolder } from './rig.ts';

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

function problemsOf(file: unknown): string[] {
  const ajv = new Ajv({ allErrors: true });
  ajv.validate(COMPOSE_SCHEMA, file);
  return (ajv.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

describe.each(COMPOSE_FILES)('%s', (name) => {
  const file = composeFile(name);
  const { agent, sidecar, db, api } = file.services;

  test('is a compose file', () => {
    expect(problemsOf(file)).toEqual([]);
  });

  test('gives the agent no secret: not as one, not by its environment, not by a folder', () => {
    expect(agent.secrets).toBeUndefined();
    expect(agent.volumes).toEqual(['./agent:/agent:ro']);
    expect(Object.keys(agent.environment!)).toEqual(['DATABASE_URL', 'PRICES_URL']);
    for (const url of Object.values(agent.environment!)) {
      expect([new URL(url).username, new URL(url).password]).toEqual(['', '']);
    }
  });

  test('hands secrets over as files, to the sidecar and to the server that each belongs to', () => {
    expect(sidecar.secrets).toEqual(['orders-password', 'prices-token']);
    const holders = (secret: string): string[] =>
      Object.entries(file.services).flatMap(([service, { secrets = [] }]) =>
        secrets.includes(secret) ? [service] : [],
      );
    expect(Object.keys(file.secrets).map((secret) => [secret, holders(secret)])).toEqual([
      ['orders-password', ['sidecar', 'db']],
      ['prices-token', ['sidecar', 'api']],
      ['database-owner-password', ['db']],
    ]);
    const variables = Object.values(file.services).flatMap(({ environment = {} }) => Object.keys(environment));
    const telling = variables.filter((each) => /PASSWORD|TOKEN|SECRET|KEY/.test(each));
    expect(telling.every((each) => each.endsWith('_FILE'))).toBe(true);
  });

  test('waits until what each service needs is healthy', () => {
    const healthy = { condition: 'service_healthy' };
    expect(agent.depends_on).toEqual({ sidecar: healthy });
    expect(sidecar.depends_on).toEqual({ db: healthy, api: healthy });
  });

  test('leaves no container more than it needs', () => {
    for (const service of Object.values(file.services)) {
      const { read_only: readOnly, cap_drop: dropped, security_opt: options } = service;
      expect({ readOnly, dropped, options }).toEqual({
        readOnly: true,
        dropped: ['ALL'],
        options: ['no-new-privileges:true'],
      });
      for (const key of ['ports', 'privileged', 'cap_add', 'env_file']) expect(service).not.toHaveProperty(key);
    }
    const { volumes: mounts } = sidecar;
    expect(mounts).toEqual(['./secretless.yml:/etc/secretless/secretless.yml:ro', 'state:/var/lib/secretless']);
  });

  test('runs the image of this version', () => {
    expect(sidecar.image).toBe(`ghcr.io/secretless-sidecar/secretless-sidecar:${version}`);
  });

  test('has networks that lead nowhere else', () => {
    for (const network of Object.values(file.networks)) expect(network.internal).toBe(true);
    expect([networksOf(db), networksOf(api)]).toEqual([['upstreams'], ['upstreams']]);
  });

  test(
    'is read without a complaint by the compose that is installed, with its own schema',
    { timeout: 90_000 },
    (ctx) => {
      const folder = temporaryFolder();
      cpSync(COMPOSE_FOLDER, folder, { recursive: true });
      const missing = readByCompose(folder, name);
      if (missing !== undefined) return ctx.skip(missing);
      writeFileSync(join(folder, name), composeText(name).replace('depends_on:', 'depend_on:'));
      expect(() => readByCompose(folder, name)).toThrow();
    },
  );
});

describe('the networks', () => {
  test('the agent shares none with the database or the API, and one with the sidecar', () => {
    const { agent, sidecar, db, api } = composeFile('compose.yml').services;
    const shared = (service: typeof agent): string[] =>
      networksOf(service).filter((each) => networksOf(agent).includes(each));
    expect([shared(db), shared(api), shared(sidecar)]).toEqual([[], [], ['agents']]);
    expect(agent.network_mode).toBeUndefined();
  });

  test('the sidecar listens where only the agent is', () => {
    const { sidecar } = composeFile('compose.yml').services;
    const { agents } = sidecar.networks as Record<string, { ipv4_address?: string }>;
    expect(sidecar.environment).toEqual({ SIDECAR_ADDRESS: agents!.ipv4_address });
  });

  test('the variant puts the agent into the network of the sidecar, which listens on loopback', () => {
    const { agent, sidecar } = composeFile('compose.shared-network.yml').services;
    expect([agent.network_mode, agent.networks]).toEqual(['service:sidecar', undefined]);
    expect(sidecar.environment).toEqual({ SIDECAR_ADDRESS: '127.0.0.1' });
  });

  test('nothing else differs between the two', () => {
    const [one, other] = COMPOSE_FILES.map(composeFile);
    expect(other!.services.db).toEqual(one!.services.db);
    expect(other!.services.api).toEqual(one!.services.api);
    expect([other!.volumes, other!.secrets]).toEqual([one!.volumes, one!.secrets]);
    const { networks: _n, environment: _e, ...sidecar } = one!.services.sidecar;
    expect(other!.services.sidecar).toMatchObject(sidecar);
  });
});

describe('the configuration of the sidecar', () => {
  const load = (address: string) =>
    readConfig(join(COMPOSE_FOLDER, 'secretless.yml'), { HOME: '/nowhere', SIDECAR_ADDRESS: address });

  test('loads without an error, and with the warnings that the README explains', () => {
    const { problems } = load('172.31.255.2');
    expect(problems.filter(({ severity }) => severity === 'error').map(formatProblem)).toEqual([]);
    expect(problems.map(({ message }) => message)).toEqual([
      'listens beyond loopback: whoever reaches this address may use the credential',
      'the upstream is not verified, so whoever is on the way can pose as it: use verify-full',
      'listens beyond loopback: whoever reaches this address may use the credential',
      'the credential travels in clear: use https',
    ]);
  });

  test('names the files and the hosts that the compose file provides', () => {
    const { services, secrets } = composeFile('compose.yml');
    const text = composeText('secretless.yml');
    const files = [...text.matchAll(/\/run\/secrets\/([\w-]+)/g)].map(([, secret]) => secret);
    expect(files).toEqual(services.sidecar.secrets);
    for (const secret of files) expect(secrets).toHaveProperty([secret!]);
    expect(text).toContain('host: db\n');
    expect(text).toContain('target: http://api:8080\n');
  });
});

test('the README tells of each container, its networks and its secrets as they are', () => {
  const { services } = composeFile('compose.yml');
  const rows = tableRows(document('config/examples/compose/README.md').text, 'container');
  expect(rows.map(([container]) => container)).toEqual(Object.keys(services).map((name) => `\`${name}\``));
  for (const [container, networks, secrets] of rows) {
    const service = services[container!.slice(1, -1) as keyof typeof services];
    for (const name of networksOf(service)) expect(networks).toContain(`\`${name}\``);
    for (const name of service.secrets ?? []) expect(secrets).toContain(`\`${name}\``);
    if (service.secrets === undefined) expect(secrets).toBe('none');
  }
});

test('a slip of the pen in a compose file is found', () => {
  const { services, ...rest } = composeFile('compose.yml');
  const agent = (more: object) => ({ ...rest, services: { ...services, agent: { ...services.agent, ...more } } });
  expect(problemsOf(agent({}))).toEqual([]);
  expect(problemsOf(agent({ depend_on: {} }))).toHaveLength(1);
  expect(problemsOf(agent({ user: 'root' }))).toHaveLength(1);
  expect(problemsOf(agent({ ports: ['5432:5432'] }))).toHaveLength(1);
  expect(problemsOf(agent({ depends_on: { sidecar: { condition: 'service_started' } } }))).not.toEqual([]);
});
