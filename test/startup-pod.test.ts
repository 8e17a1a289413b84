import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { canary } from './canary.ts';
import { ask, freePorts, KeptConnection, ledgerLines, runCommand, startProcess, stateFolder } from './process-rig.ts';
import { startUpstream } from './rig.ts';

/** What a pod gives `secretless start`, and what the sidecar makes of it. */

async function startPod(words: readonly string[], more = '', folder = stateFolder()) {
  const upstream = await startUpstream((request, response) => {
    request.resume();
    response.end(request.headers['x-api-key'] === undefined ? 'without' : 'with');
  });
  const yaml = `
services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:${upstream.port}
    credentials: { token: { from: env, get: API_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
${more}`;
  const start = ['start', '-f', join(folder, 'secretless.yml'), ...words];
  return startProcess(yaml, { env: { API_TOKEN: canary() }, words: start, folder });
}

const EGRESS = 'egress: { listenOn: tcp://127.0.0.1:0 }\n';
const TRUST = ['egress-ca-bundle.pem', 'egress-ca.pem', 'egress-trust.p12'];

test('a plain sidecar serves on after SIGTERM, newcomers too, until the agents are gone', async () => {
  const rig = await startPod(['--sidecar', 'plain']);
  await rig.ready();
  const port = await rig.port('api');
  const agent = new KeptConnection(port);
  expect((await agent.ask('/')).body).toBe('with');
  rig.child.kill('SIGTERM');
  await rig.line(({ message }) => message === 'serving until the agents end');
  expect((await agent.ask('/')).body).toBe('with');
  expect((await ask(port, '/')).body).toBe('with');
  expect(agent.sockets.size).toBe(1);
  const left = performance.now();
  agent.close();
  expect(await rig.ended).toEqual({ code: 0, signal: null });
  expect(performance.now() - left).toBeGreaterThan(2500);
  expect(ledgerLines(rig.folder).find(({ type }) => type === 'sidecar.stopped')?.reason).toBe('drained');
});

test('a plain sidecar that waits for agents is ended by `secretless stop`', async () => {
  const rig = await startPod(['--sidecar', 'plain']);
  await rig.ready();
  const silent = connect(await rig.port('api'), '127.0.0.1');
  onTestFinished(() => void silent.destroy());
  silent.on('error', () => undefined);
  await once(silent, 'connect');
  rig.child.kill('SIGTERM');
  const { connections } = await rig.line(({ message }) => message === 'serving until the agents end');
  expect(connections).toBe(1);
  expect((await runCommand(rig.folder, ['stop'])).code).toBe(0);
  expect(await rig.ended).toEqual({ code: 0, signal: null });
});

test('a native sidecar lets nobody in after SIGTERM', async () => {
  const rig = await startPod(['--sidecar', 'native']);
  await rig.ready();
  const port = await rig.port('api');
  const agent = new KeptConnection(port);
  expect((await agent.ask('/')).body).toBe('with');
  expect(await rig.end()).toEqual({ code: 0, signal: null });
  expect(rig.stderr()).not.toContain('serving until');
  await expect(ask(port, '/')).rejects.toThrow(/ECONNREFUSED/);
});

test('--telemetry wins over the file, lets probes of a pod in, and no page that rebinds a name', async () => {
  const [port] = await freePorts(1);
  const rig = await startPod(['--telemetry', `tcp://0.0.0.0:${port}`], 'telemetry: { listenOn: off }\n');
  await rig.ready();
  const own = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const addresses = own.filter(({ family }) => family === 'IPv4').map(({ address }) => address);
  for (const address of [...addresses, '10.244.1.17']) {
    for (const path of ['/livez', '/readyz', '/metrics']) {
      expect((await ask(port!, path, { headers: { host: `${address}:${port}` } })).status).toBe(200);
    }
  }
  expect((await ask(port!, '/readyz', { headers: { host: `rebound.example:${port}` } })).status).toBe(421);
  // Nothing is controlled there.
  for (const path of ['/v1/status', '/v1/stop', '/v1/reload']) {
    expect((await ask(port!, path, { method: 'POST' })).status).toBe(404);
  }
  writeFileSync(rig.file, readFileSync(rig.file, 'utf8').replace('listenOn: off', 'listenOn: tcp://127.0.0.1:0'));
  rig.child.kill('SIGHUP');
  await rig.line(({ message }) => message === 'configuration reloaded');
  expect((await rig.control.status()).telemetry.address).toBe(`tcp://0.0.0.0:${port}`);
});

test.each([
  [['--telemetry', 'localhost'], 64, /--telemetry an address looks like tcp:/],
  [['--sidecar', 'both'], 64, /--sidecar is native or plain, not "both"/],
])('%j is refused', async (words, code, message) => {
  const rig = await startPod(words);
  expect(await rig.ended).toEqual({ code, signal: null });
  expect(rig.stderr()).toMatch(message);
});

test('--telemetry where a service listens is refused by its name', async () => {
  const [port] = await freePorts(1);
  const second = `  two: { connector: http, listenOn: "tcp://127.0.0.1:${port}", target: "http://127.0.0.1:1", credentials: { a: { from: env, get: API_TOKEN } } }\n`;
  const rig = await startPod(['--telemetry', `tcp://127.0.0.1:${port}`], second);
  expect(await rig.ended).toEqual({ code: 78, signal: null });
  expect(rig.stderr()).toContain('the address is taken by `--telemetry`');
});

test('--trust gets what clients of egress trust before it is ready, and again at a reload', async () => {
  const trust = join(stateFolder(), 'shared');
  const rig = await startPod(['--trust', trust], EGRESS);
  await rig.ready();
  expect(readdirSync(trust).sort()).toEqual(TRUST);
  for (const name of TRUST) expect(statSync(join(trust, name)).mode & 0o777).toBe(0o644);
  expect(statSync(trust).mode & 0o777).toBe(0o755);
  const authority = readFileSync(join(rig.folder, 'egress-ca.pem'), 'utf8');
  const own = authority.slice(authority.indexOf('-----BEGIN')).trim();
  expect(readFileSync(join(trust, 'egress-ca.pem'), 'utf8')).toContain(own);
  expect(readFileSync(join(trust, 'egress-ca-bundle.pem'), 'utf8')).toContain(own);
  rmSync(join(trust, 'egress-ca.pem'));
  writeFileSync(join(trust, 'egress-ca-bundle.pem'), 'of somebody else');
  rig.child.kill('SIGHUP');
  await rig.line(({ message }) => message === 'configuration reloaded');
  expect(readFileSync(join(trust, 'egress-ca.pem'), 'utf8')).toContain(own);
  expect(readFileSync(join(trust, 'egress-ca-bundle.pem'), 'utf8')).toContain(own);
  // A folder that is there keeps its mode: others may have put things into it.
  chmodSync(trust, 0o777);
  rig.child.kill('SIGHUP');
  await rig.line(({ message }) => message === 'configuration reloaded', rig.log.length);
  expect(statSync(trust).mode & 0o777).toBe(0o777);
});

test('--trust without egress writes nothing, until a reload brings egress', async () => {
  const trust = join(stateFolder(), 'shared');
  mkdirSync(trust);
  const rig = await startPod(['--trust', trust]);
  await rig.ready();
  expect(readdirSync(trust)).toEqual([]);
  writeFileSync(rig.file, `${readFileSync(rig.file, 'utf8')}${EGRESS}`);
  rig.child.kill('SIGHUP');
  await rig.line(({ message }) => message === 'configuration reloaded');
  expect(readdirSync(trust).sort()).toEqual(TRUST);
});

test('a --trust that cannot be written keeps the sidecar from starting, and says so', async () => {
  const trust = join(stateFolder(), 'file');
  writeFileSync(trust, '');
  const rig = await startPod(['--trust', trust], EGRESS);
  expect(await rig.ended).toEqual({ code: 78, signal: null });
  expect(rig.stderr()).toContain(`--trust: nothing can be written into ${trust} (`);
});
