import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { SidecarError } from '../error.ts';
import { dial } from './dial.ts';
import { openGuard } from './guard.ts';
import { openGuardedDialer, type Connect } from './guarded-dialer.ts';

const open: { destroy(): void }[] = [];
const servers: Server[] = [];

afterEach(() => {
  for (const one of open.splice(0)) one.destroy();
  for (const server of servers.splice(0)) server.close();
});

/** Listens on an address, and notes who came. */
async function listener(host = '127.0.0.1'): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    open.push(socket);
  });
  servers.push(server);
  await new Promise<void>((ready) => server.listen(0, host, ready));
  return { port: (server.address() as AddressInfo).port, sockets };
}

function dialerTo(addresses: readonly string[], connect?: Connect, connectSeconds = 5) {
  const guard = openGuard({
    deny: [],
    reach: ['127.0.0.0/8', '::1', '198.51.100.0/24', '2001:db8::/32'],
    resolve: {},
    lookup: async () => addresses.map((address) => ({ address })),
  });
  return openGuardedDialer({ guard, mode: 'passed', connectSeconds, ...(connect === undefined ? {} : { connect }) });
}

/** Notes when each address was tried; those without an outcome are never answered. */
function scripted(outcomes: Readonly<Record<string, number | 'refused' | undefined>>, port: number) {
  const tried: { readonly host: string; readonly ms: number; aborted: boolean }[] = [];
  const begun = performance.now();
  const connect: Connect = async ({ host }, seconds, signal) => {
    const attempt = { host, ms: performance.now() - begun, aborted: false };
    tried.push(attempt);
    signal.addEventListener('abort', () => (attempt.aborted = true));
    const outcome = outcomes[host];
    if (outcome === 'refused') throw new SidecarError('upstream-unreachable', { detail: `${host}: refused` });
    if (outcome === undefined) {
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('given up'))));
    }
    await sleep(outcome);
    const socket = await dial({ host: '127.0.0.1', port }, seconds, new AbortController().signal);
    open.push(socket);
    return socket;
  };
  return { tried, connect };
}

const signal = new AbortController().signal;

describe('the dialer', () => {
  test('connects to the address that was checked, and reads nothing from it', async () => {
    const { port, sockets } = await listener();
    const socket = await dialerTo(['127.0.0.1']).dial('a.example', port, signal);
    open.push(socket);
    await expect.poll(() => sockets.length).toBe(1);
    sockets[0]!.write('hello');
    await sleep(50);
    expect(socket.readableFlowing).toBeNull();
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    expect(chunk.toString()).toBe('hello');
  });

  test('goes on to the next address at once where one refuses', async () => {
    const { port } = await listener();
    const { tried, connect } = scripted({ '198.51.100.1': 'refused', '198.51.100.2': 0 }, port);
    await dialerTo(['198.51.100.1', '198.51.100.2'], connect).dial('a.example', port, signal);
    expect(tried.map(({ host }) => host)).toEqual(['198.51.100.1', '198.51.100.2']);
    expect(tried[1]!.ms - tried[0]!.ms).toBeLessThan(200);
  });

  test('tries the next address beside one that lets itself be waited for, and gives the loser up', async () => {
    const { port } = await listener();
    const { tried, connect } = scripted({ '198.51.100.2': 0 }, port);
    await dialerTo(['198.51.100.1', '198.51.100.2'], connect).dial('a.example', port, signal);
    expect(tried[1]!.ms - tried[0]!.ms).toBeGreaterThan(240);
    expect(tried[0]!.aborted).toBe(true);
  });

  test('tries no second address where the first answers in time', async () => {
    const { port } = await listener();
    const { tried, connect } = scripted({ '198.51.100.1': 100, '198.51.100.2': 0 }, port);
    await dialerTo(['198.51.100.1', '198.51.100.2'], connect).dial('a.example', port, signal);
    await sleep(300);
    expect(tried.length).toBe(1);
  });

  test('closes a connection that stands too late', async () => {
    const { port, sockets } = await listener();
    const { connect } = scripted({ '198.51.100.1': 500, '198.51.100.2': 0 }, port);
    const socket = await dialerTo(['198.51.100.1', '198.51.100.2'], connect).dial('a.example', port, signal);
    await expect.poll(() => sockets.length).toBe(2);
    for (const one of sockets) one.resume();
    await expect
      .poll(() => sockets.filter(({ destroyed, readableEnded }) => destroyed || readableEnded).length)
      .toBe(1);
    expect(socket.destroyed).toBe(false);
  });

  test('takes the families by turns, from that of the first', async () => {
    const addresses = ['2001:db8::1', '2001:db8::2', '2001:db8::3', '198.51.100.1', '198.51.100.2'];
    const { tried, connect } = scripted(Object.fromEntries(addresses.map((one) => [one, 'refused'])), 1);
    await expect(dialerTo(addresses, connect).dial('a.example', 443, signal)).rejects.toMatchObject({
      code: 'upstream-unreachable',
      detail: expect.stringContaining('198.51.100.2: refused') as string,
    });
    expect(tried.map(({ host }) => host)).toEqual([
      '2001:db8::1',
      '198.51.100.1',
      '2001:db8::2',
      '198.51.100.2',
      '2001:db8::3',
    ]);
  });

  test('says that nobody is there where a real port is closed', async () => {
    const { port } = await listener();
    servers.pop()!.close();
    await expect(dialerTo(['127.0.0.1']).dial('a.example', port, signal)).rejects.toMatchObject({
      code: 'upstream-unreachable',
    });
  });

  test('gives up when its time is over, whatever it waits for', async () => {
    const { tried, connect } = scripted({}, 1);
    const begun = performance.now();
    await expect(dialerTo(['198.51.100.1'], connect, 0.2).dial('a.example', 443, signal)).rejects.toMatchObject({
      code: 'upstream-unreachable',
      detail: 'a.example: not within 0.2 s',
    });
    expect(performance.now() - begun).toBeLessThan(2_000);
    expect(tried[0]!.aborted).toBe(true);
    const guard = openGuard({ deny: [], reach: [], resolve: {}, lookup: () => new Promise(() => undefined) });
    const dialer = openGuardedDialer({ guard, mode: 'passed', connectSeconds: 0.2 });
    await expect(dialer.dial('a.example', 443, signal)).rejects.toMatchObject({ code: 'upstream-unreachable' });
  });

  test('ends at once with the reason of its signal', async () => {
    const { tried, connect } = scripted({}, 1);
    const controller = new AbortController();
    const dialing = dialerTo(['198.51.100.1', '198.51.100.2'], connect).dial('a.example', 443, controller.signal);
    await expect.poll(() => tried.length).toBe(1);
    controller.abort(new SidecarError('grant-ended'));
    await expect(dialing).rejects.toMatchObject({ code: 'grant-ended' });
    await sleep(300);
    expect(tried.length).toBe(1);
    expect(tried[0]!.aborted).toBe(true);
  });

  test('dials nothing for a signal that has ended', async () => {
    const { tried, connect } = scripted({}, 1);
    await expect(dialerTo(['198.51.100.1'], connect).dial('a.example', 443, AbortSignal.abort())).rejects.toMatchObject(
      {
        code: 'downstream-closed',
      },
    );
    expect(tried).toEqual([]);
  });
});
