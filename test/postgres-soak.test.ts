import { readdirSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { serialize } from 'pg-protocol';
import { expect, onTestFinished, test } from 'vitest';
import { usePostgres } from './postgres/server.ts';
import { startProcess, type ProcessRig } from './process-rig.ts';

/** Many connections: what they cost while they rest, and that nothing of them stays. */

const CONNECTIONS = 1000;
const CONNECTS = 5000;
const WARM_UP = 500;
const AT_A_TIME = 4;

const linux = process.platform === 'linux';
const server = usePostgres({ settings: { max_connections: String(CONNECTIONS + 50), autovacuum: 'off' } });

async function start(sslmode: string): Promise<{ rig: ProcessRig; port: number }> {
  const { port, superuser, password } = server();
  const services = {
    db: {
      connector: 'postgres',
      listenOn: 'tcp://127.0.0.1:0',
      credentials: {
        ...{ host: '127.0.0.1', port: String(port), username: superuser, sslmode },
        password: { from: 'env', get: 'PG_SOAK_PASSWORD' },
      },
    },
  };
  const limits = `limits: { connections: ${CONNECTIONS + 50}, drain: 2s }`;
  const rig = startProcess(`services: ${JSON.stringify(services)}\n${limits}\n`, {
    env: { PG_SOAK_PASSWORD: password },
  });
  await rig.ready();
  return { rig, port: await rig.port('db') };
}

/** ReadyForQuery outside a transaction. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
const STARTUP = serialize.startup({ user: 'agent', database: 'postgres' });

/** A session that is logged in; rejects with what was said where it is not. */
function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(STARTUP));
    let heard = Buffer.alloc(0);
    const listen = (chunk: Buffer): void => {
      heard = Buffer.concat([heard, chunk]);
      if (!heard.subarray(-READY.length).equals(READY)) return;
      socket.off('data', listen).off('close', closed);
      resolve(socket);
    };
    const closed = (): void => reject(new Error(`refused: ${heard.toString('latin1')}`));
    socket
      .on('error', () => undefined)
      .on('data', listen)
      .on('close', closed);
  });
}

async function end(socket: Socket): Promise<void> {
  const closed = once(socket, 'close');
  socket.resume().end(serialize.end());
  await closed;
}

/** Does it `count` times, so many at a time. */
async function repeat(count: number, atATime: number, work: () => Promise<void>): Promise<void> {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await work();
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
}

function residentMegabytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return Number(kilobytes) / 1024;
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

test.runIf(linux).for(['disable', 'require'])(
  'a thousand connections rest upstream with sslmode %s, and all they held is given back',
  { timeout: 120_000 },
  async (sslmode) => {
    const { rig, port } = await start(sslmode);
    const pid = rig.child.pid!;
    await repeat(WARM_UP, AT_A_TIME, async () => end(await open(port)));
    const before = { fds: descriptors(pid), rss: residentMegabytes(pid) };
    const sockets: Socket[] = [];
    onTestFinished(() => sockets.forEach((socket) => void socket.destroy()));
    await repeat(CONNECTIONS, 8, async () => void sockets.push(await open(port)));
    await sleep(1000);
    const during = { fds: descriptors(pid), rss: residentMegabytes(pid) };
    expect(during.fds - before.fds).toBeGreaterThan(2 * CONNECTIONS - 20);
    expect(during.fds - before.fds).toBeLessThan(2 * CONNECTIONS + 20);
    await Promise.all(sockets.map(end));
    await expect.poll(() => descriptors(pid), { timeout: 10_000 }).toBeLessThanOrEqual(before.fds + 5);
    const more = (during.rss - before.rss).toFixed(1);
    console.info(
      `${CONNECTIONS} resting connections, sslmode ${sslmode}: ${more} MB more (${before.rss.toFixed(1)} MB before)`,
    );
  },
);

test.runIf(linux)('five thousand connects leave nothing behind', { timeout: 180_000 }, async () => {
  const { rig, port } = await start('disable');
  const pid = rig.child.pid!;
  await repeat(WARM_UP, AT_A_TIME, async () => end(await open(port)));
  const before = { fds: descriptors(pid), rss: residentMegabytes(pid) };
  const begun = performance.now();
  await repeat(CONNECTS, AT_A_TIME, async () => end(await open(port)));
  const seconds = (performance.now() - begun) / 1000;
  await expect.poll(() => descriptors(pid), { timeout: 10_000 }).toBeLessThanOrEqual(before.fds + 5);
  const after = residentMegabytes(pid);
  console.info(
    `${CONNECTS} connects in ${seconds.toFixed(1)} s: ${before.rss.toFixed(1)} MB before, ${after.toFixed(1)} MB after`,
  );
});
