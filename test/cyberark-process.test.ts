import { writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { canary } from './canary.ts';
import { dial, get } from './http-kit.ts';
import { ask, complete, freePorts, startProcess, type ProcessOptions, type ProcessRig } from './process-rig.ts';
import { eventually, startUpstream } from './rig.ts';

/* What users of CyberArk Secretless Broker meet in the process; cyberark.test.ts has the table. */

const yaml = (port: number, upstream: number, header = 'X-Key') =>
  `services:\n  api: { connector: generic_http, listenOn: "tcp://127.0.0.1:${port}", target: "http://127.0.0.1:${upstream}", credentials: { t: { from: env, get: KEY } }, config: { headers: { ${header}: '{{ .t }}' } } }\n`;

async function live(rig: ProcessRig, path = '/live'): Promise<{ status: number; body: string }> {
  const answer = await fetch(`${await rig.telemetry()}${path}`);
  return { status: answer.status, body: await answer.text() };
}

/** A process on one service, ready. */
async function start({ wrapper, nodeOptions }: Pick<ProcessOptions, 'wrapper' | 'nodeOptions'> = {}) {
  const upstream = await startUpstream();
  const [port] = (await freePorts(1)) as [number];
  const rig = startProcess(yaml(port, upstream.port), {
    env: { KEY: canary() },
    ...(wrapper === undefined ? {} : { wrapper }),
    ...(nodeOptions === undefined ? {} : { nodeOptions }),
  });
  await rig.ready();
  return { rig, port, upstream };
}

test.each(['SIGHUP', 'SIGUSR1'] as const)(
  '%s reloads: it neither ends the process nor blips a listener',
  async (signal) => {
    // `--disable-sigusr1` makes Node hold that signal back.
    const { rig, port, upstream } = await start({ nodeOptions: ['--conditions=secretless-source'] });
    const kept = await dial(port, get('/'));
    await kept.until('hello');
    const from = rig.log.length;
    writeFileSync(rig.file, complete(yaml(port, upstream.port, 'X-Other')));
    rig.child.kill(signal);
    await eventually(async () => {
      expect((await live(rig)).status).toBe(200);
      await ask(port, '/');
      return upstream.requests.at(-1)!.headers['x-other'] !== undefined;
    }, 'the new header');
    expect(rig.log.length).toBeGreaterThan(from);
    expect(rig.child.exitCode).toBeNull();
  },
);

test('a reload on a bad file keeps the old configuration and names the line', async () => {
  const { rig, port } = await start();
  const from = rig.log.length;
  writeFileSync(rig.file, 'version: "2"\nservices:\n  api: { connector: generic_htp');
  rig.child.kill('SIGHUP');
  const line = await rig.line((entry) => JSON.stringify(entry).includes('secretless.yml:3:'), from);
  expect(['warn', 'error', 40, 50]).toContain(line['level']);
  expect((await ask(port, '/')).status).toBe(200);
  expect((await live(rig)).status).toBe(200);
});

test('SIGTERM lets a running exchange end, and exits with 0', async () => {
  const upstream = await startUpstream();
  let finish = (): void => undefined;
  const begun = new Promise<void>((resolve) => {
    upstream.server.removeAllListeners('request');
    upstream.server.on('request', (_, response: { write(text: string): void; end(text: string): void }) => {
      response.write('first');
      finish = () => response.end('last');
      resolve();
    });
  });
  const [port] = (await freePorts(1)) as [number];
  const rig = startProcess(yaml(port, upstream.port), { env: { KEY: canary() } });
  await rig.ready();
  const client = await dial(port, get('/'));
  await begun;
  await client.until('first');
  rig.child.kill('SIGTERM');
  // It has stopped to accept, so the signal is being served.
  await eventually(
    () =>
      dial(port).then(
        (peer) => (peer.socket.destroy(), false),
        () => true,
      ),
    'a closed listener',
  );
  finish();
  expect(await client.end()).toContain('last');
  expect(await rig.ended).toEqual({ code: 0, signal: null });
});

test('`secretless -f secretless.yml -watch -debug` starts as it did', async () => {
  const upstream = await startUpstream();
  const [port] = (await freePorts(1)) as [number];
  const folder = startProcess(yaml(port, upstream.port), { words: ['version'] });
  await folder.ended;
  const rig = startProcess(yaml(port, upstream.port), {
    folder: folder.folder,
    env: { KEY: canary() },
    words: ['-f', folder.file, '-watch', '-debug'],
  });
  await rig.ready();
  expect((await ask(port, '/')).status).toBe(200);
  writeFileSync(rig.file, complete(yaml(port, upstream.port, 'X-Other')));
  await eventually(async () => {
    await ask(port, '/');
    return upstream.requests.at(-1)!.headers['x-other'] !== undefined;
  }, 'the watched change');
});

test('an address that is taken ends the start with a code other than 0, and says which', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const rig = startProcess(yaml(port, 1), { env: { KEY: canary() } });
  const { code } = await rig.ended;
  expect(code).toBe(78);
  expect(rig.stderr()).toContain(`127.0.0.1:${port}`);
});

test('health answers as the broker did, and a taken health port is an error instead of no health', async () => {
  const { rig, port, upstream } = await start();
  for (const path of ['/live', '/ready']) {
    const plain = await live(rig, path);
    expect([plain.status, JSON.parse(plain.body)]).toEqual([200, {}]);
    const full = await live(rig, `${path}?full=1`);
    expect(JSON.parse(full.body)).toEqual({ listening: 'OK', ready: 'OK' });
  }
  const health = new URL(await rig.telemetry()).port;
  const [other] = (await freePorts(1)) as [number];
  const second = startProcess(`${yaml(other, upstream.port)}telemetry: { listenOn: "tcp://127.0.0.1:${health}" }\n`, {
    env: { KEY: canary() },
  });
  expect((await second.ended).code).toBe(78);
  expect(second.stderr()).toContain(`127.0.0.1:${health}`);
  expect((await ask(port, '/')).status).toBe(200);
});

test('EMFILE does not end a listener: it accepts again once files are free', async () => {
  const { rig, port } = await start({ wrapper: ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh'] });
  const held = await Promise.all(Array.from({ length: 80 }, () => dial(port)));
  // Without a file left for them, the last are cut.
  await eventually(() => held.some(({ ended, closed }) => ended || closed), 'a connection too many');
  for (const peer of held) peer.socket.destroy();
  await eventually(
    () =>
      ask(port, '/').then(
        ({ status }) => status === 200,
        () => false,
      ),
    'an answer after the flood',
  );
  expect(rig.child.exitCode).toBeNull();
});
