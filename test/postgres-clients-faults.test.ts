import pg from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from './rig.ts';
import { failure, pause } from './postgres-clients/case.ts';
import { CONNECTIONS_MAX, LOGIN_SECONDS, SILENT_SECONDS, useFaultWorld } from './postgres-clients/fault-world.ts';
import {
  cancelRequest,
  errorFields,
  gssRequest,
  query,
  RawClient,
  sslRequest,
  startup,
  typed,
} from './postgres-clients/raw.ts';
import { installedVersions } from './postgres/server.ts';

const LOGIN = startup({ user: 'nobody', database: 'postgres' });
/** Length field included: MAX_STARTUP_PACKET_LENGTH of PostgreSQL counts without it. */
const STARTUP_BYTES_MAX = 10_004;
const MIB = 1024 * 1024;
/** Of 200 MB that pass at full speed: buffers that wait for a collection. */
const RESIDENT_MORE_MAX = 96 * MIB;

/** A startup message of so many bytes. */
function longStartup(bytes: number, user: string): Buffer {
  const message = (filler: string): Buffer => startup({ user, database: 'postgres', application_name: filler });
  return message('a'.repeat(bytes - message('').length));
}

describe.skipIf(!installedVersions.includes(17))('a sidecar in front of PostgreSQL, when things go wrong', () => {
  const { server, wire, sidecar } = useFaultWorld();

  async function connect(service = 'db'): Promise<pg.Client> {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: sidecar().port(service),
      user: 'nobody',
      database: 'postgres',
    });
    client.on('error', () => undefined);
    onTestFinished(() => void client.end().catch(() => undefined));
    await client.connect();
    return client;
  }

  const raw = (service = 'db', options = {}): Promise<RawClient> => RawClient.open(sidecar().port(service), options);

  /** The error that a raw client gets for its login. */
  async function refusal(service: string): Promise<Record<string, string>> {
    const client = (await raw(service)).send(LOGIN);
    const frames = await client.until('E');
    await client.closed;
    return errorFields(frames.at(-1)!);
  }

  /** It still serves, and has let go of what the test opened. */
  async function isWell(descriptors: number): Promise<void> {
    expect(sidecar().running()).toBe(true);
    const client = await connect();
    expect((await client.query('select 1 as n')).rows).toEqual([{ n: 1 }]);
    await client.end();
    await eventually(() => sidecar().descriptors() <= descriptors, 'closing of what was open');
  }

  async function settled(): Promise<number> {
    await isWell(Infinity);
    await pause(100);
    return sidecar().descriptors();
  }

  describe('the upstream is lost', () => {
    it.each(['db'])('breaks the connection in the middle of a query, and goes on', async (service) => {
      const descriptors = await settled();
      const client = await connect(service);
      const query = failure(client.query('select pg_sleep(60)'), 'message');
      await pause(100);
      wire().cut();
      expect(await query).toEqual({ message: expect.stringMatching(/Connection terminated|ECONNRESET/) as string });
      await isWell(descriptors);
    });

    it('breaks the connection in the middle of a copy out, and goes on', async () => {
      const descriptors = await settled();
      const client = (await raw()).send(LOGIN);
      await client.until('Z');
      client.send(query(`copy (select repeat('x', 9999) from generate_series(1, 100000)) to stdout`));
      await client.until('d');
      wire().cut();
      await client.closed;
      await isWell(descriptors);
    });

    it('breaks the connection in the middle of a copy in, and goes on', async () => {
      const descriptors = await settled();
      const client = (await raw()).send(LOGIN);
      await client.until('Z');
      client.send(query('create temp table t (w text)'), query('copy t from stdin'));
      await client.until('G');
      const feed = setInterval(() => client.send(typed('d', 'word\n'.repeat(10_000))), 5);
      await pause(50);
      wire().cut();
      await client.closed;
      clearInterval(feed);
      await isWell(descriptors);
    });

    it.each([1, 20, 60, 200, 400])('says so when it is reset after %i bytes of the login', async (resetAfter) => {
      const descriptors = await settled();
      wire().mode({ resetAfter });
      const { S, C, D } = await refusal('db');
      expect({ S, C, D }).toEqual({
        S: 'FATAL',
        C: '08006',
        D: expect.stringMatching(/^correlation id [0-9a-f]+$/) as string,
      });
      wire().mode('pass');
      await isWell(descriptors);
    });

    it('says so when nobody listens', async () => {
      const said = await refusal('unreachable');
      expect(said).toMatchObject({ S: 'FATAL', C: '08001' });
      expect(JSON.stringify(said)).not.toMatch(/127\.0\.0\.1|ECONN|app/);
    });
  });

  describe('a client that does not log in', () => {
    it('is closed when it sends nothing', async () => {
      const begun = Date.now();
      const client = await raw();
      expect((await client.rest()).length).toBe(0);
      expect(Date.now() - begun).toBeGreaterThan(SILENT_SECONDS * 900);
      expect(Date.now() - begun).toBeLessThan(SILENT_SECONDS * 1000 + 2500);
    });

    it('is closed on time though it sends a byte now and then', async () => {
      const begun = Date.now();
      const client = await raw();
      const dials = wire().dials();
      let sent = 0;
      const drip = setInterval(() => client.send(LOGIN.subarray(sent, (sent += 1))), 300);
      onTestFinished(() => clearInterval(drip));
      await client.closed;
      expect(Date.now() - begun).toBeLessThan(LOGIN_SECONDS * 1000 + 2500);
      expect(sent).toBeLessThan(LOGIN.length);
      expect(wire().dials()).toBe(dials);
    });

    it('is closed on time though it begins anew with each request for encryption', async () => {
      const begun = Date.now();
      const client = (await raw()).send(sslRequest());
      expect((await client.take(1)).toString()).toBe('N');
      client.send(gssRequest());
      expect((await client.take(1)).toString()).toBe('N');
      await client.closed;
      expect(Date.now() - begun).toBeLessThan(LOGIN_SECONDS * 1000 + 2500);
    });

    it.each([
      ['a startup message that is too long', longStartup(STARTUP_BYTES_MAX + 1, 'nobody')],
      ['a length of 2 GiB', Buffer.from([0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0])],
      ['a negative length', Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0])],
      ['a length of 0', Buffer.alloc(8)],
      ['a request of HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
      ['a handshake of TLS', Buffer.from([0x16, 3, 1, 0, 200, 1, 0, 0, 196])],
      ['two requests for TLS', Buffer.concat([sslRequest(), sslRequest()])],
      ['noise', Buffer.alloc(4096, 0xa5)],
    ])('is closed at once when it sends %s, and nothing is dialled', async (_, bytes) => {
      const dials = wire().dials();
      const begun = Date.now();
      const client = (await raw()).send(bytes);
      await client.closed;
      expect(Date.now() - begun).toBeLessThan(LOGIN_SECONDS * 900);
      expect(wire().dials()).toBe(dials);
      expect(sidecar().running()).toBe(true);
    });

    it('has as many bytes for a startup message as direct', async () => {
      const isTaken = async (port: number, bytes: number): Promise<boolean> => {
        const client = (await RawClient.open(port)).send(longStartup(bytes, 'trusted'));
        const frames = await client.until('Z').catch(() => []);
        client.socket.destroy();
        return frames.length > 0;
      };
      for (const port of [server().port, sidecar().port('trusted')]) {
        expect(await isTaken(port, STARTUP_BYTES_MAX)).toBe(true);
        expect(await isTaken(port, STARTUP_BYTES_MAX + 1)).toBe(false);
      }
    });
  });

  describe('a refusal', () => {
    it.each([
      ['denied', '42501'],
      ['absent', '57P03'],
      ['unreachable', '08001'],
    ])(
      'of the service %s has SQLSTATE %s, and comes behind the answer to the request for TLS',
      async (service, code) => {
        const client = (await raw(service)).send(sslRequest());
        expect((await client.take(1)).toString('latin1')).toBe('N');
        client.send(LOGIN);
        const frames = await client.until('E');
        expect(frames).toHaveLength(1);
        expect(errorFields(frames[0]!)).toMatchObject({ S: 'FATAL', V: 'FATAL', C: code });
        await client.closed;
        expect(client.received.length).toBe(0);
      },
    );

    it('for too many connections has SQLSTATE 53300, and passes when one ends', async () => {
      const held = [await connect('limited'), await connect('limited')];
      expect(held).toHaveLength(CONNECTIONS_MAX);
      expect(await refusal('limited')).toMatchObject({ S: 'FATAL', C: '53300' });
      await held[0]!.end();
      await eventually(
        () =>
          connect('limited').then(
            () => true,
            () => false,
          ),
        'a place for another connection',
      );
    });

    it('names the rule that denies, and neither host nor role', async () => {
      const said = await refusal('denied');
      expect(said['D']).toContain('never-here');
      expect(JSON.stringify(said)).not.toMatch(/127\.0\.0\.1|"app"|nobody/);
    });
  });

  describe('cancel', () => {
    it('takes 1,000 unknown keys without a word and without dialling', async () => {
      const descriptors = await settled();
      const count = (): Promise<number> =>
        sidecar().metric('secretless_recalls_total', { service: 'db', outcome: 'unknown' });
      const [dials, before] = [wire().dials(), await count()];
      for (let round = 0; round < 10; round += 1) {
        await Promise.all(
          Array.from({ length: 100 }, async (_, n) => {
            const key = Buffer.alloc(8);
            key.writeInt32BE(round * 100 + n);
            const client = (await raw()).send(cancelRequest(key));
            expect((await client.rest()).length).toBe(0);
          }),
        );
      }
      expect(wire().dials()).toBe(dials);
      expect(await count()).toBe(before + 1000);
      await isWell(descriptors);
    });

    it('reaches the query of its key and no other, and lives as long as the upstream wants', async () => {
      const [first, second] = [(await raw()).send(LOGIN), (await raw()).send(LOGIN)];
      const key = (await first.until('Z')).find(({ type }) => type === 'K')!.body;
      await second.until('Z');
      first.send(query('select pg_sleep(60)'));
      second.send(query('select pg_sleep(0.5)'));
      await pause(100);
      const canceller = (await raw()).send(cancelRequest(key));
      expect((await canceller.rest()).length).toBe(0);
      expect(errorFields((await first.until('E')).at(-1)!)['C']).toBe('57014');
      expect((await second.until('Z')).map(({ type }) => type)).not.toContain('E');
    });

    it('does not know the key of a session that has ended', async () => {
      const client = (await raw()).send(LOGIN);
      const key = (await client.until('Z')).find(({ type }) => type === 'K')!.body;
      client.send(typed('X'));
      await client.closed;
      const dials = wire().dials();
      await (await raw()).send(cancelRequest(key)).closed;
      expect(wire().dials()).toBe(dials);
    });
  });

  describe('bytes behind the login', () => {
    it('arrive upstream after it', async () => {
      const client = (await raw()).send(LOGIN, query(`select 'early'`), query('select 2'));
      await client.until('Z');
      const frames = [...(await client.until('Z')), ...(await client.until('Z'))];
      expect(frames.map(({ type }) => type).join('')).toBe('TDCZTDCZ');
      expect(frames[1]!.body.subarray(6).toString()).toBe('early');
    });

    it('arrive whole though they are a megabyte', async () => {
      const text = `select length('${'m'.repeat(1_000_000)}')`;
      const client = (await raw()).send(LOGIN, query(text));
      await client.until('Z');
      const frames = await client.until('Z');
      expect(frames[1]!.body.subarray(6).toString()).toBe('1000000');
    });

    it('are not sent upstream where they are a password that nobody asked for', async () => {
      const client = (await raw()).send(LOGIN, typed('p', 'dummy\0'), query('select 1'));
      await client.until('Z');
      expect((await client.until('Z')).map(({ type }) => type).join('')).toBe('TDCZ');
    });

    it('are answered as direct when the client ends its side at once', async () => {
      const conversation = async (port: number): Promise<string> => {
        const client = await RawClient.open(port, { allowHalfOpen: true });
        client.socket.end(Buffer.concat([startup({ user: 'trusted', database: 'postgres' }), query('select 1')]));
        const bytes = await client.rest();
        client.socket.destroy();
        return bytes.toString('latin1').includes('SELECT 1\0') ? 'answered' : `${bytes.length} bytes`;
      };
      const direct = await conversation(server().port);
      expect(await conversation(sidecar().port('trusted'))).toBe(direct);
    });
  });

  describe('a client that vanishes', () => {
    it('takes its session upstream with it', async () => {
      const client = (await raw()).send(LOGIN);
      const key = (await client.until('Z')).find(({ type }) => type === 'K')!.body;
      client.socket.resetAndDestroy();
      const count = `select count(*)::int as n from pg_stat_activity where pid = ${key.readInt32BE(0)}`;
      await eventually(async () => (await server().sql(count))[0]!['n'] === 0, 'end of the session');
    });

    it('takes a login with it that the upstream does not answer', async () => {
      wire().mode('silent');
      const client = (await raw()).send(LOGIN);
      await eventually(() => wire().open() === 1, 'login upstream');
      client.socket.resetAndDestroy();
      await eventually(() => wire().open() === 0, 'end of the login');
    });

    it('leaves nothing open, at whatever point of the login it goes', async () => {
      const descriptors = await settled();
      for (let round = 0; round < 10; round += 1) {
        await Promise.all(
          Array.from({ length: 20 }, async (_, n) => {
            const client = (await raw()).send(LOGIN.subarray(0, n < 5 ? n * 5 : LOGIN.length));
            await pause(n + round);
            client.socket.resetAndDestroy();
            await client.closed;
          }),
        );
      }
      await isWell(descriptors);
      // A server that sleeps for an earlier test does not look whether its client is there.
      const left = `select count(*)::int as n from pg_stat_activity where usename = 'app' and query not like '%sleep%'`;
      await eventually(async () => (await server().sql(left))[0]!['n'] === 0, 'end of the sessions');
    });
  });

  describe('backpressure', () => {
    it('keeps 200 MB copied out to a slow reader upstream', async () => {
      const client = (await raw()).send(LOGIN);
      await client.until('Z');
      const [resident, before] = [sidecar().residentBytes(), wire().bytesDown()];
      let bytes = 0;
      const done = new Promise<void>((resolve) => {
        client.socket.removeAllListeners('data').on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          // CommandComplete and ReadyForQuery.
          if (chunk.subarray(-6).equals(Buffer.from('5a0000000549', 'hex'))) resolve();
        });
      });
      client.send(query(`copy (select repeat('x', 9999) from generate_series(1, 20000)) to stdout`));
      await eventually(() => bytes > MIB);
      client.socket.pause();
      await pause(1000);
      const held = wire().bytesDown();
      await pause(1000);
      expect(sidecar().residentBytes() - resident).toBeLessThan(32 * MIB);
      expect(wire().bytesDown(), 'it reads on while its reader does not').toBe(held);
      expect(held - before).toBeLessThan(40 * MIB);
      let most = sidecar().residentBytes();
      const watch = setInterval(() => (most = Math.max(most, sidecar().residentBytes())), 50);
      client.socket.resume();
      await done;
      clearInterval(watch);
      expect(bytes).toBeGreaterThan(200_000_000);
      expect(most - resident).toBeLessThan(RESIDENT_MORE_MAX);
    });

    it('keeps 200 MB copied in to a slow server downstream', async () => {
      const client = (await raw()).send(LOGIN);
      await client.until('Z');
      client.send(query('create temp table t (w text)'), query('copy t from stdin'));
      await client.until('G');
      const resident = sidecar().residentBytes();
      wire().hold(true);
      const row = typed('d', `${'y'.repeat(99_999)}\n`);
      let sent = 0;
      for (; sent < 2000 && client.socket.writableLength < 4 * MIB; sent += 1) {
        client.send(row);
        await pause(0);
      }
      await pause(500);
      expect(sidecar().residentBytes() - resident).toBeLessThan(32 * MIB);
      expect(sent * row.length).toBeLessThan(60 * MIB);
      wire().hold(false);
      for (; sent < 2000; sent += 1) {
        if (!client.socket.write(row))
          await new Promise<void>((resolve) => client.socket.once('drain', () => resolve()));
      }
      client.send(typed('c'));
      const complete = (await client.until('Z')).find(({ type }) => type === 'C')!;
      expect(complete.body.toString()).toBe('COPY 2000\0');
      expect(sidecar().residentBytes() - resident).toBeLessThan(RESIDENT_MORE_MAX);
    });
  });
});
