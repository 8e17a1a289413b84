import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from './rig.ts';
import { startManInTheMiddle, type Attack } from './ssh/man-in-the-middle.ts';
import { Place } from './ssh/place.ts';
import { missing, pythonModule, PYTHON } from './ssh/programs.ts';
import { refusedBy } from './ssh/refusal.ts';
import { startSidecar, type Sidecar } from './ssh/sidecar.ts';
import { startSshd, type Sshd } from './ssh/sshd.ts';
import { serviceFor, sidecarDoor } from './ssh/world.ts';

const absent = missing('sshd', 'ssh') ?? pythonModule('paramiko');
const FLOOD = fileURLToPath(new URL('ssh/clients/flood.py', import.meta.url));
const HEADER_SECONDS = 2;
const CONNECTIONS_MAX = 60;
const MIB = 2 ** 20;
/** Of the process, on top of what it has in rest: many logins, and what the collector leaves for later. */
const LOGINS_BYTES_MAX = 48 * MIB;
/**
 * Of the process under a flood, with what the collector leaves on a machine that is busy; that a side is no longer read
 * while too much waits for the other is held to the byte by `connectors/ssh/relay/relay.test.ts`.
 */
const FLOOD_BYTES_MAX = 48 * MIB;

function wait(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

describe.skipIf(absent !== undefined)(
  `a downstream that is not what it should be${absent === undefined ? '' : ` (${absent})`}`,
  () => {
    let sshd: Sshd;
    let sidecar: Sidecar;
    let places: Place[] = [];
    let sockets: Socket[] = [];
    const placeOf = (): Place => {
      const place = new Place(sidecarDoor(sidecar, sshd.folder));
      places.push(place);
      return place;
    };
    const open = async (): Promise<Socket> => {
      const socket = connect(sidecar.port('host'), '127.0.0.1');
      sockets.push(socket);
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      return socket.resume();
    };
    /** The greatest size of the process in so many seconds. */
    const peakBytes = async (seconds: number): Promise<number> => {
      let peak = 0;
      for (const until = Date.now() + seconds * 1000; Date.now() < until; await wait(50)) {
        peak = Math.max(peak, sidecar.residentBytes());
      }
      return peak;
    };

    beforeAll(async () => {
      sshd = await startSshd();
      sidecar = await startSidecar({
        services: { host: serviceFor(sshd) },
        rest: {
          limits: {
            header: `${HEADER_SECONDS}s`,
            keepAlive: `${HEADER_SECONDS}s`,
            connections: CONNECTIONS_MAX,
            drain: '2s',
          },
        },
      });
      // What is loaded and compiled at the first use is no growth.
      await placeOf().ssh(['host', 'head -c 20000000 /dev/zero']);
    });
    afterEach(async () => {
      await Promise.all(places.map((place) => place.close()));
      for (const socket of sockets) socket.destroy();
      places = [];
      sockets = [];
    });
    afterAll(async () => {
      await sidecar?.remove();
      await sshd?.stop();
    });

    const GREETING = 'SSH-2.0-test\r\n';
    test.each([
      ['says nothing', ''],
      ['says half a greeting', 'SSH-2.0-te'],
      ['says no more than a greeting', GREETING],
      ['begins a packet that it never ends', `${GREETING}\0\0\x10\0\x04`],
      ['announces a packet of 4 GiB', `${GREETING}\xff\xff\xff\xff`],
      ['sends thousands of lines', 'a line\r\n'.repeat(5000)],
      ['sends a line without end', 'a'.repeat(500_000)],
      ['speaks version 1', 'SSH-1.5-old\r\n'],
      ['speaks HTTP', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
      ['sends noise', `${GREETING}${'\x7f\x00\x31'.repeat(20_000)}`],
    ])('is cut off within the time of a login where it %s', async (_name, sent) => {
      const socket = await open();
      const closed = once(socket, 'close');
      socket.write(sent, 'latin1');
      await Promise.race([
        closed,
        wait((HEADER_SECONDS + 4) * 1000).then(() => Promise.reject(new Error('it is still open'))),
      ]);
      expect(sidecar.child.exitCode).toBeNull();
    });

    test('does not keep others out, nor take memory, while many say nothing', async () => {
      const before = sidecar.residentBytes();
      const waiting = await Promise.all(Array.from({ length: CONNECTIONS_MAX - 10 }, () => open()));
      for (const [at, socket] of waiting.entries()) socket.write(at % 2 === 0 ? '' : GREETING);
      expect(await placeOf().ssh(['host', 'echo served'])).toMatchObject({ code: 0, out: 'served\n' });
      expect(sidecar.residentBytes() - before).toBeLessThan(LOGINS_BYTES_MAX);
      await eventually(() => waiting.every(({ destroyed }) => destroyed), 'all of them are cut off');
    });

    test('hears why where there are too many', async () => {
      const place = placeOf();
      const waiting = await Promise.all(Array.from({ length: CONNECTIONS_MAX }, () => open()));
      for (const socket of waiting) socket.write('SSH-2.0-te');
      const { code, err } = await place.ssh(['host', 'true']);
      expect([code, refusedBy(err)]).toEqual([255, ['connections-exhausted']]);
      for (const socket of waiting) socket.destroy();
      const again = async (): Promise<boolean> => (await place.ssh(['host', 'true'])).code === 0;
      await eventually(again, 'there is room again');
    });

    test('takes no memory with a window of 2 GiB and no reader', async () => {
      const place = placeOf();
      const before = sidecar.residentBytes();
      const client = place.spawn(PYTHON, [FLOOD, String(sidecar.port('host')), 'x', 'down'], { leaveOpen: true });
      await once(client.stdout!, 'data');
      client.kill('SIGSTOP');
      const peak = await peakBytes(4);
      expect(peak - before).toBeLessThan(FLOOD_BYTES_MAX);
      client.kill('SIGCONT');
    });

    test('takes no memory where it sends more than it may to a command that does not read', async () => {
      const place = placeOf();
      const before = sidecar.residentBytes();
      const client = place.spawn(PYTHON, [FLOOD, String(sidecar.port('host')), 'x', 'up'], { leaveOpen: true });
      await once(client.stdout!, 'data');
      const peak = await peakBytes(4);
      expect(peak - before).toBeLessThan(FLOOD_BYTES_MAX);
      expect(await placeOf().ssh(['host', 'echo served'])).toMatchObject({ code: 0, out: 'served\n' });
    });

    describe('with somebody on the way', () => {
      const through = async (
        attack: Attack | undefined,
        use: (place: Place, passed: (direction: 'up' | 'down') => number) => Promise<void>,
      ): Promise<void> => {
        const middle = await startManInTheMiddle(sidecar.port('host'), attack);
        const place = new Place({ ...sidecarDoor(sidecar, sshd.folder), port: middle.port });
        try {
          await use(place, (direction) => middle.passed(direction));
        } finally {
          await place.close();
          await middle.stop();
        }
      };

      test.each<readonly [string, Attack]>([
        ['takes the marks of strict key exchange away', { do: 'strip-strict' }],
        ['puts a message before the key exchange', { do: 'insert', direction: 'up' }],
        ['puts a message within the key exchange', { do: 'insert', direction: 'up', within: true }],
        ['changes a bit of the offer', { do: 'flip', direction: 'up', at: 80 }],
      ])('does not get in where it %s', async (_name, attack) => {
        const before = sshd.log().length;
        await through(attack, async (place) => {
          expect(await place.ssh(['host', 'echo ran'])).toMatchObject({ code: 255, out: '' });
        });
        expect(sshd.log().slice(before)).not.toContain('Connection from');
      });

      test('leaves nothing open wherever it is cut in a login', async () => {
        let whole = { up: 0, down: 0 };
        await through(undefined, async (place, passed) => {
          expect(await place.ssh(['host', 'true'])).toMatchObject({ code: 0 });
          whole = { up: passed('up'), down: passed('down') };
        });
        await wait(200);
        const before = sidecar.descriptors();
        const steps = (['up', 'down'] as const).flatMap((direction) =>
          Array.from({ length: 12 }, (_, at): Attack => ({
            do: 'cut',
            direction,
            bytes: 1 + Math.floor((whole[direction] * at) / 12),
          })),
        );
        for (const attack of steps) {
          await through(attack, async (place) => {
            expect((await place.ssh(['host', 'true'])).code).toBe(255);
          });
        }
        await eventually(() => sidecar.descriptors() <= before + 1, 'all sockets are closed');
        expect(await placeOf().ssh(['host', 'echo again'])).toMatchObject({ code: 0, out: 'again\n' });
      }, 60_000);
    });
  },
);
