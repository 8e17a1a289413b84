import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { canary } from './canary.ts';
import { dial, expectNothingLeft, get, Peer, problemOf } from './http-kit.ts';
import { startRig, startUpstream, temporaryFolder } from './rig.ts';

const HANDSHAKE = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAA'];

async function startOn(listenOn: string) {
  const upstream = await startUpstream();
  const upgrades: string[] = [];
  upstream.server.on('upgrade', (request, socket) => {
    upgrades.push(request.url!);
    socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
  });
  const rig = await startRig(
    `services:
  api:
    connector: http
    listenOn: ${listenOn}
    target: http://127.0.0.1:${upstream.port}
    credentials: { token: { from: env, get: BROWSER_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
`,
    { BROWSER_TOKEN: canary() },
  );
  expectNothingLeft(rig);
  return { rig, upstream, upgrades };
}

/** Status and code of the answer to a request with this Host and these fields. */
async function answerTo(port: number, host: string, ...fields: string[]): Promise<string> {
  const client = await dial(port, get('/x', ...fields).replace('Host: localhost', `Host: ${host}`));
  const text = await client.end();
  return text.startsWith('HTTP/1.1 4') ? problemOf(text).code : text.slice(9, 12);
}

describe.each(['tcp://127.0.0.1:0', 'tcp://0.0.0.0:0'])('on %s', (listenOn) => {
  test('a foreign Origin spends no credential, by exchange or by websocket', async () => {
    const { rig, upstream, upgrades } = await startOn(listenOn);
    const port = rig.port('api');
    for (const origin of ['https://evil.example', 'null']) {
      expect(await answerTo(port, 'localhost', `Origin: ${origin}`, 'Connection: close')).toBe('origin-refused');
      expect(await answerTo(port, 'localhost', `Origin: ${origin}`, ...HANDSHAKE)).toBe('origin-refused');
    }
    expect(rig.events('decision').filter(({ result }) => result === 'allow')).toEqual([]);
    expect([upstream.requests, upgrades]).toEqual([[], []]);
  });

  test('an Origin of this machine, or none, passes', async () => {
    const { rig, upgrades } = await startOn(listenOn);
    const port = rig.port('api');
    expect(await answerTo(port, 'localhost', 'Origin: http://localhost:3000', 'Connection: close')).toBe('200');
    expect(await answerTo(port, 'localhost', 'Connection: close')).toBe('200');
    expect(await answerTo(port, 'localhost', 'Origin: http://localhost:3000', ...HANDSHAKE)).toBe('101');
    expect(upgrades).toEqual(['/x']);
  });

  test('a page that says cross-site, or came by a name of its own, is refused', async () => {
    const { rig, upstream } = await startOn(listenOn);
    const port = rig.port('api');
    expect(await answerTo(port, 'localhost', 'Sec-Fetch-Site: cross-site', 'Connection: close')).toBe('origin-refused');
    expect(await answerTo(port, 'evil.example:8081', 'Connection: close')).toBe('host-mismatch');
    expect(await answerTo(port, 'evil.example:8081', 'Origin: http://evil.example:8081', ...HANDSHAKE)).toBe(
      'host-mismatch',
    );
    expect(upstream.requests).toEqual([]);
  });
});

test('a service name of a container network is a Host for a network listener, not for loopback', async () => {
  const [network, loopback] = [await startOn('tcp://0.0.0.0:0'), await startOn('tcp://127.0.0.1:0')];
  expect(await answerTo(network.rig.port('api'), 'sidecar:8081', 'Connection: close')).toBe('200');
  expect(await answerTo(loopback.rig.port('api'), 'sidecar:8081', 'Connection: close')).toBe('host-mismatch');
});

test('on a Unix socket Host and Origin may say what they like', async () => {
  const path = join(temporaryFolder(), 'api.sock');
  await startOn(`unix://${path}`);
  const socket = connect(path);
  onTestFinished(() => void socket.destroy());
  const client = new Peer(socket, 'downstream');
  client.write('GET / HTTP/1.1\r\nHost: github\r\nOrigin: https://evil.example\r\nConnection: close\r\n\r\n');
  expect(await client.end()).toMatch(/^HTTP\/1\.1 200 /);
});
