import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { Secret, streamContext } from 'secretless-sidecar/connector';
import { credentialsOf, perform, Playbook, Rehearsal } from 'secretless-sidecar/connector/testing';
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { PostgresConfig } from './config.ts';
import { postgres } from './index.ts';
import { readFields } from './testdata/fields.ts';
import {
  AUTHENTICATION_OK,
  authentication,
  parameterStatus,
  READY,
  SSL_REQUEST,
  startupPacket,
  typed,
} from './testdata/packets.ts';

const HERE = { host: '127.0.0.1', username: 'role', sslmode: 'disable' };
const OPENING = startupPacket([
  ['user', 'app'],
  ['database', 'orders'],
]);

async function talk(config: PostgresConfig = {}): Promise<Playbook> {
  const service = await postgres.open(config);
  return new Playbook(service.handshake(streamContext('c0ffee', 'orders-db')));
}

const refusal = (sqlstate: string) => (bytes: Buffer) => {
  expect(readFields(bytes)['C']).toBe(sqlstate);
};

describe('the configuration', () => {
  const validate = new Ajv({ strict: false }).compile(postgres.config);

  test.each<[object]>([
    [{}],
    [{ database: 'orders', maxConnectionAge: '1h', requireAuth: ['md5', 'none'] }],
    [{ channelBinding: 'require', sslnegotiation: 'direct', tls: 'self-signed' }],
    [{ tls: { certificate: '/a.pem', key: '/a.key' } }],
  ])('%j is taken', (config) => {
    expect(validate(config)).toBe(true);
    expect(postgres.check?.(config, ['url'])).toEqual([]);
  });

  test.each<[object]>([
    [{ database: '' }],
    [{ requireAuth: [] }],
    [{ requireAuth: ['gss'] }],
    [{ channelBinding: 'yes' }],
    [{ tls: 'on' }],
    [{ tls: { certificate: 'a.pem', key: '/a.key' } }],
    [{ maxConnectionAge: '1 hour' }],
  ])('%j is refused by the schema', (config) => {
    expect(validate(config)).toBe(false);
  });

  test.each<[PostgresConfig, string[], RegExp]>([
    [{}, ['username'], /nothing says where/],
    [{}, ['host'], /nothing says who/],
    [{}, ['host', 'address', 'username'], /say the same/],
    [{}, ['url', 'sslcert'], /belong together/],
    [{}, ['url', 'database'], /under config/],
    [{}, ['url', 'dbname'], /under config/],
    [{}, ['url', 'user'], /called `username`/],
    [{}, ['url', 'replication'], /only the client/],
    [{ database: 'ä'.repeat(32) }, ['url'], /63 bytes/],
    [{ maxConnectionAge: '0s' }, ['url'], /above zero/],
    [{ maxConnectionAge: '25h' }, ['url'], /up to a day/],
    [{ channelBinding: 'require', requireAuth: ['md5'] }, ['url'], /scram-sha-256/],
  ])('%j with the credentials %j has a problem', (config, names, message) => {
    const problems = postgres.check!(config, names);
    expect(problems).toHaveLength(1);
    expect(problems[0]!.message).toMatch(message);
  });

  test.each<[PostgresConfig, Record<string, string>, string | undefined]>([
    [{}, { sslmode: 'verify_full' }, 'error'],
    [{ sslnegotiation: 'direct' }, { sslmode: 'prefer' }, 'error'],
    [{}, { sslmode: 'require' }, 'warning'],
    [{}, { sslmode: 'prefer', host: 'db.internal' }, 'warning'],
    [{}, { sslmode: 'prefer', address: 'db.internal:5432' }, 'warning'],
    [{}, { sslmode: 'disable', address: '127.0.0.1:5432' }, undefined],
    [{}, { sslmode: 'disable', host: '/run/pg' }, undefined],
    [{}, { sslmode: 'require', sslrootcert: 'PEM' }, undefined],
    [{}, { sslmode: 'verify-ca' }, undefined],
  ])('%j with %j in the file gives %s', (config, literals, severity) => {
    const problems = postgres.check!(config, ['url', ...Object.keys(literals)], literals);
    expect(problems.map((problem) => problem.severity ?? 'error')).toEqual(severity === undefined ? [] : [severity]);
    expect(JSON.stringify(problems)).not.toMatch(/verify_full|db\.internal/);
  });
});

describe('a service', () => {
  test('has the greatest age that is configured', async () => {
    const book = (await talk({ maxConnectionAge: '90m' }))
      .downstreamSends(OPENING)
      .authorizes(HERE)
      .dials({ host: '127.0.0.1', port: 5432 })
      .upstreamReceives((bytes) => expect(bytes.toString()).toContain('user\0role\0database\0orders\0'))
      .upstreamSends(Buffer.concat([AUTHENTICATION_OK, READY]))
      .downstreamReceives(Buffer.concat([AUTHENTICATION_OK, READY]));
    expect((await book.splices()).handover.ageSecondsMax).toBe(5400);
  });

  test('writes what a server says at once in one go', async () => {
    const greeting = Buffer.concat([AUTHENTICATION_OK, parameterStatus('a', 'b'), typed('N', 'Shello\0\0'), READY]);
    const arriving = { downstream: [OPENING], upstream: [greeting] };
    const written: Buffer[] = [];
    const world = new Rehearsal({
      arrives: (side) => arriving[side].shift(),
      written: (side, bytes) => side === 'downstream' && written.push(bytes),
      authorize: () => ({ credentials: credentialsOf(HERE), version: 'v1' }),
      reauthorize: () => undefined,
      dial: (address) => address,
      startTls: () => ({ alpn: undefined, peerCertificate: undefined }),
    });
    const service = await postgres.open({});
    const handover = await perform(service.handshake(streamContext('c0ffee', 'orders-db')), world);
    expect(handover.then).toBe('splice');
    expect(written).toEqual([greeting]);
  });

  test('sends no password in clear that is not allowed to be', async () => {
    await (
      await talk()
    )
      .downstreamSends(OPENING)
      .authorizes({ ...HERE, password: 'hunter2-secret' })
      .dials({ host: '127.0.0.1', port: 5432 })
      .upstreamReceives(() => undefined)
      .upstreamSends(authentication(3))
      .downstreamReceives(refusal('0A000'))
      .closes('login-unsupported');
  });

  test('wipes its copies of the password: the one for the name in the ledger, and the one of the login', async () => {
    const wipe = vi.spyOn(Secret.prototype, 'wipe');
    onTestFinished(() => wipe.mockRestore());
    const password = 'hunter2-of-23-characters';
    await (
      await talk({ requireAuth: ['password'] })
    )
      .downstreamSends(OPENING)
      .authorizes({ ...HERE, password })
      .dials({ host: '127.0.0.1', port: 5432 })
      .upstreamReceives(() => undefined)
      .upstreamSends(authentication(3))
      .upstreamReceives(typed('p', `${password}\0`))
      .upstreamSends(Buffer.concat([AUTHENTICATION_OK, READY]))
      .downstreamReceives(Buffer.concat([AUTHENTICATION_OK, READY]))
      .splices();
    expect((wipe.mock.contexts as Secret[]).filter(({ length }) => length === password.length)).toHaveLength(2);
  });

  test('without a credential that fits dials nothing', async () => {
    await (
      await talk()
    )
      .downstreamSends(OPENING)
      .authorizes({ ...HERE, port: 'none' })
      .downstreamReceives(refusal('57P03'))
      .closes('credential-unfit');
  });
});

describe('TLS on the side of the client', () => {
  const folder = mkdtempSync(join(tmpdir(), 'local-tls-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const files = { certificate: join(folder, 'a.pem'), key: join(folder, 'a.key') };
  const login = (book: Playbook) =>
    book
      .downstreamSends(OPENING)
      .authorizes(HERE)
      .dials({ host: '127.0.0.1', port: 5432 })
      .upstreamReceives(() => undefined)
      .upstreamSends(Buffer.concat([AUTHENTICATION_OK, READY]))
      .downstreamReceives(Buffer.concat([AUTHENTICATION_OK, READY]))
      .splices();

  test('has the certificate of the files', async () => {
    writeFileSync(files.certificate, 'the certificate');
    writeFileSync(files.key, 'the key');
    const book = (await talk({ tls: files }))
      .downstreamSends(SSL_REQUEST)
      .downstreamReceives('S')
      .downstreamStartsTls({}, ({ identity, alpn }) => {
        expect(identity).toEqual({ certificate: 'the certificate', key: 'the key' });
        expect(alpn).toEqual(['postgresql']);
      });
    await login(book);
  });

  test('is not begun over plaintext that came with the question (CVE-2021-23214)', async () => {
    await (
      await talk({ tls: 'self-signed' })
    )
      .downstreamSends(Buffer.concat([SSL_REQUEST, OPENING]))
      .closes('downstream-protocol');
  });

  test('is answered with N where the files cannot be read, and the reason follows in the protocol', async () => {
    await (
      await talk({ tls: { certificate: '/nowhere/a.pem', key: '/nowhere/a.key' } })
    )
      .downstreamSends(SSL_REQUEST)
      .downstreamReceives('N')
      .downstreamSends(OPENING)
      .downstreamReceives(refusal('F0000'))
      .closes('config-invalid');
  });
});
