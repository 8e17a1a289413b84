import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { canary } from './canary.ts';
import { ask, KeptConnection, startProcess, type ProcessRig } from './process-rig.ts';
import { formsOf } from './sweep.ts';
import { startUpstream } from './rig.ts';

interface Running {
  readonly rig: ProcessRig;
  readonly port: number;
  readonly telemetry: URL;
  readonly token: string;
}

async function startOne(): Promise<Running> {
  const upstream = await startUpstream();
  const token = canary();
  const yaml = `
services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:${upstream.port}
    credentials: { token: { from: env, get: API_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
rules:
  - { id: no-deletes, effect: deny, methods: [DELETE] }
  - { id: all-else, effect: allow }
`;
  const rig = startProcess(yaml, { env: { API_TOKEN: token } });
  await rig.ready();
  return { rig, port: await rig.port('api'), telemetry: new URL(await rig.telemetry()), token };
}

async function probe(telemetry: URL, path: string, headers: Record<string, string> = {}, method = 'GET') {
  const asked = request({ host: telemetry.hostname, port: telemetry.port, path, method, headers, agent: false }).end();
  const [response] = await once(asked, 'response');
  const body = await text(response as NodeJS.ReadableStream);
  return { status: (response as { statusCode: number }).statusCode, body };
}

test('the probes answer, foreign hosts and browsers are refused', async () => {
  const { telemetry } = await startOne();
  for (const path of ['/live', '/ready']) expect(await probe(telemetry, path)).toEqual({ status: 200, body: '{}\n' });
  for (const path of ['/healthz', '/readyz']) {
    const { status, body } = await probe(telemetry, path);
    expect([status, JSON.parse(body)]).toEqual([200, { ok: true, reasons: [] }]);
  }
  for (const path of ['/live', '/ready', '/healthz', '/readyz', '/metrics']) {
    expect((await probe(telemetry, path, { host: 'rebound.example' })).status, path).toBe(421);
    expect((await probe(telemetry, path, { origin: `http://${telemetry.host}` })).status, path).toBe(403);
    expect((await probe(telemetry, path, { origin: 'null' })).status, path).toBe(403);
    expect((await probe(telemetry, path, {}, 'HEAD')).status, path).toBe(200);
    expect((await probe(telemetry, path, {}, 'POST')).status, path).toBe(405);
  }
  expect((await probe(telemetry, '/v1/stop', {}, 'POST')).status).toBe(404);
});

test('metrics count connections, exchanges by outcome and fetches', async () => {
  const { port, telemetry } = await startOne();
  const kept = new KeptConnection(port);
  for (let count = 0; count < 3; count += 1) expect((await kept.ask('/')).status).toBe(200);
  expect((await ask(port, '/', { method: 'DELETE' })).status).toBe(403);
  const { body } = await probe(telemetry, '/metrics');
  const lines = body.split('\n');
  const listener = 'listener="tcp://127.0.0.1:0"';
  expect(lines).toContain(`secretless_connections_total{${listener}} 2`);
  expect(lines).toContain('secretless_exchanges_total{service="api",outcome="ok"} 3');
  expect(lines).toContain('secretless_exchanges_total{service="api",outcome="denied"} 1');
  expect(lines).toContain('secretless_lease_fetches_total{provider="env",outcome="ok"} 3');
  expect(lines).toContain('secretless_lease_fetch_seconds_count{provider="env"} 3');
  expect(lines).toContain('secretless_added_seconds_count{service="api"} 4');
  expect(lines).toContain('secretless_ledger_up 1');
});

/** What an agent does that looks for credentials where it can: in its own process and through the sidecar. */
const AGENT = `
const { readFileSync } = require('node:fs');
const own = ['cmdline', 'environ', 'maps'].map((name) => readFileSync('/proc/self/' + name, 'latin1'));
fetch(process.argv[1]).then(async (answer) => {
  const body = [answer.status, JSON.stringify([...answer.headers]), await answer.text()];
  process.stdout.write(JSON.stringify({ own, env: process.env, body }));
});
`;

test.skipIf(process.platform !== 'linux')(
  'neither the agent nor the command line of the sidecar holds the secret',
  async () => {
    const { rig, port, token } = await startOne();
    const agent = spawn(process.execPath, ['-e', AGENT, `http://127.0.0.1:${port}/`], {
      env: {},
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void agent.kill('SIGKILL'));
    const found = await text(agent.stdout);
    expect(JSON.parse(found)).toMatchObject({ env: {}, body: [200, expect.any(String) as string, 'hello'] });
    const commandLine = readFileSync(`/proc/${rig.child.pid}/cmdline`);
    for (const [form, needle] of formsOf(token)) {
      expect(Buffer.from(found).includes(needle), form).toBe(false);
      expect(commandLine.includes(needle), form).toBe(false);
    }
    // The guard works: in the environment of the sidecar itself, which only its user can read, it is found.
    expect(readFileSync(`/proc/${rig.child.pid}/environ`).includes(token)).toBe(true);
  },
);

test('no signal makes the sidecar write its memory or a report to disk', async () => {
  const { rig, port } = await startOne();
  for (const signal of ['SIGUSR2', 'SIGUSR1', 'SIGHUP', 'SIGUSR2'] as const) rig.child.kill(signal);
  await rig.line(({ message }) => message === 'configuration reloaded');
  expect((await ask(port, '/')).status).toBe(200);
  const written = readdirSync(rig.folder).filter(
    (name) => !/^(ledger\.jsonl.*|secretless\.yml|control\.sock)$/.test(name),
  );
  expect(written).toEqual([]);
  expect((await rig.end()).code).toBe(0);
});
