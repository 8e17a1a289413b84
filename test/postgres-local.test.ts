import { execFile } from 'node:child_process';
import type { X509Certificate } from 'node:crypto';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { parse, serialize } from 'pg-protocol';
import { expect, onTestFinished, test } from 'vitest';
import { refusalOf, startPostgresSidecar, whoAmI, type PostgresService } from './postgres/rig.ts';
import { certificates, usePostgres } from './postgres/server.ts';
import { temporaryFolder } from './rig.ts';

/** The side of the client: TLS of the sidecar's own, and Unix sockets where libpq looks for them. */

const server = usePostgres();

function service(config: Readonly<Record<string, unknown>> = {}): PostgresService {
  const { port, superuser, password } = server();
  return { credentials: { host: '127.0.0.1', port: String(port), username: superuser, password }, config };
}

test('a client that requires TLS has it with a certificate for localhost, and one that does not is served in plain', async () => {
  const rig = await startPostgresSidecar({ db: service({ tls: 'self-signed' }) });
  const certificate = await certificateOf(rig.port('db'));
  expect(certificate.subjectAltName).toBe('DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
  // `pg` fails where the sidecar answers that it has no TLS, or with another certificate than the one it trusts.
  const ssl = { ca: certificate.toString() };
  expect(await whoAmI(rig.port('db'), { host: 'localhost', ssl })).toBe('postgres@postgres, tls');
  expect(await whoAmI(rig.port('db'), { ssl })).toBe('postgres@postgres, tls');
  expect(await whoAmI(rig.port('db'), { ssl, sslnegotiation: 'direct' })).toBe('postgres@postgres, tls');
  expect(await whoAmI(rig.port('db'))).toBe('postgres@postgres, tls');
  // The certificate lives as long as the sidecar.
  expect((await certificateOf(rig.port('db'))).fingerprint256).toBe(certificate.fingerprint256);
});

/** What a client of direct TLS is shown. */
function certificateOf(port: number): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['postgresql'] });
    socket.on('error', reject).on('secureConnect', () => {
      resolve(socket.getPeerX509Certificate()!);
      socket.destroy();
    });
  });
}

test('without local TLS a client that requires it is told so by its own library', async () => {
  const rig = await startPostgresSidecar({ db: service() });
  const heard = await refusalOf(whoAmI(rig.port('db'), { ssl: { rejectUnauthorized: false } }));
  expect(heard.message).toBe('The server does not support SSL connections');
});

test('a certificate that is given is the one shown', async () => {
  const { server: identity, authority } = await certificates();
  const folder = temporaryFolder();
  const [certificate, key] = [join(folder, 'local.crt'), join(folder, 'local.key')];
  writeFileSync(certificate, identity.certificate);
  writeFileSync(key, identity.key, { mode: 0o600 });
  const rig = await startPostgresSidecar({ db: service({ tls: { certificate, key } }) });
  const ssl = { ca: authority.certificate };
  expect(await whoAmI(rig.port('db'), { host: 'localhost', ssl })).toBe('postgres@postgres, tls');
});

test('TLS may begin at once where ALPN says that it is for PostgreSQL, and nowhere else', async () => {
  const rig = await startPostgresSidecar({ db: service({ tls: 'self-signed' }) });
  expect(await directLogin(rig.port('db'), ['postgresql'])).toEqual(['authenticationOk', 'readyForQuery']);
  expect(await directLogin(rig.port('db'), undefined)).toEqual([]);
  const plain = await startPostgresSidecar({ db: service() });
  expect(await directLogin(plain.port('db'), ['postgresql'])).toEqual([]);
});

/** The first and the last message of a login over direct TLS; empty where it was closed. */
function directLogin(port: number, alpn: string[] | undefined): Promise<string[]> {
  const heard: string[] = [];
  return new Promise((resolve) => {
    const socket = connectTls({
      ...{ port, host: '127.0.0.1', rejectUnauthorized: false },
      ...(alpn === undefined ? {} : { ALPNProtocols: alpn }),
    });
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => undefined).on('close', () => resolve(heard));
    socket.on('secureConnect', () => {
      void parse(socket, ({ name }) => {
        if (name === 'authenticationOk' || name === 'readyForQuery') heard.push(name);
        if (name === 'readyForQuery') socket.end(serialize.end());
      });
      socket.write(serialize.startup({ user: 'agent', database: 'postgres' }));
    });
  });
}

test('a Unix socket with the name that libpq looks for is a listener', async () => {
  const folder = temporaryFolder();
  const path = join(folder, '.s.PGSQL.5432');
  const rig = await startPostgresSidecar({ db: { ...service(), listenOn: `unix://${path}` } });
  expect(statSync(path).isSocket()).toBe(true);
  expect(await whoAmI(5432, { host: folder })).toBe('postgres@postgres, tls');
  await rig.sidecar.drain();
  expect(existsSync(path)).toBe(false);
});

const psql = existsSync('/usr/bin/psql');

test.runIf(psql)('psql connects over TLS, over plain TCP and over the socket without a password', async () => {
  const folder = temporaryFolder();
  const rig = await startPostgresSidecar({
    db: service({ tls: 'self-signed' }),
    plain: service(),
    socket: { ...service(), listenOn: `unix://${join(folder, '.s.PGSQL.5432')}` },
  });
  const ask = async (connection: string): Promise<string> => {
    const env = { PATH: process.env['PATH'], HOME: folder, PGCONNECT_TIMEOUT: '5' };
    const command = ['-w', '-X', '-At', `user=agent dbname=postgres ${connection}`, '-c', 'select current_user'];
    const { stdout } = await promisify(execFile)('/usr/bin/psql', command, { env });
    return stdout.trim();
  };
  expect(await ask(`host=127.0.0.1 port=${rig.port('db')} sslmode=require`)).toBe('postgres');
  expect(await ask(`host=127.0.0.1 port=${rig.port('plain')} sslmode=prefer`)).toBe('postgres');
  expect(await ask(`host=${folder}`)).toBe('postgres');
  // What cannot work, and how it says so.
  await expect(ask(`host=127.0.0.1 port=${rig.port('plain')} sslmode=require`)).rejects.toThrow(
    'server does not support SSL, but SSL was required',
  );
  await expect(ask(`host=127.0.0.1 port=${rig.port('db')} sslmode=require channel_binding=require`)).rejects.toThrow(
    'channel binding required, but server authenticated client without channel binding',
  );
});

test('the upstream may be a Unix socket', async () => {
  const { socketFolder, port, superuser, password } = server();
  const rig = await startPostgresSidecar({
    db: { credentials: { host: socketFolder, port: String(port), username: superuser, password } },
  });
  expect(await whoAmI(rig.port('db'))).toBe('postgres@postgres, plain');
  await rig.sidecar.drain();
  expect(rig.events('decision')).toMatchObject([{ upstream: expect.stringContaining(`.s.PGSQL.${port}`) as string }]);
});
