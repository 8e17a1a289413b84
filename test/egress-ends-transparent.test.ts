import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { issueServerIdentity } from '../src/certificate/server.ts';
import { canary, keepArtefact } from './canary.ts';
import { testAuthority } from './egress-core-kit.ts';
import { environment } from './process-rig.ts';
import { programPath } from './aws/tools/place.ts';

/**
 * Transparent mode on the ports themselves, in a namespace of network and mounts: names lead to the listener, as a
 * redirect would lead their addresses, and the client knows of no proxy.
 */

const ENTRY = fileURLToPath(new URL('../src/cli/secretless.ts', import.meta.url));
const HERE = '127.0.0.2';
const THERE = '127.0.0.3';

/** An upstream for https and http; tells what it was shown. */
const UPSTREAM = `
const { readFileSync } = require('node:fs');
const { createServer } = require('node:https');
const plain = require('node:http');
const tell = (scheme) => (request, response) =>
  response.end(JSON.stringify({ scheme, host: request.headers.host, key: request.headers['x-api-key'] }));
createServer({ key: readFileSync('key.pem'), cert: readFileSync('cert.pem') }, tell('https')).listen(443, '${THERE}');
plain.createServer(tell('http')).listen(80, '${THERE}');
`;

/** Runs in the namespace; prints a line for each try. */
const SCRIPT = `
ip link set lo up
mount --bind hosts /etc/hosts
"$NODE" -e "$UPSTREAM" &
"$NODE" --conditions=secretless-source "$ENTRY" start -f secretless.yml 2> sidecar.log &
for i in $(seq 100); do grep -q ready sidecar.log && test -f egress-ca.pem && break; sleep 0.1; done
ask() { curl -sS --max-time 5 --cacert "$1" "$2" 2>&1; echo; }
ask egress-ca.pem https://api.test/
ask egress-ca.pem http://api.test/
ask authority.pem https://open.test/
ask egress-ca.pem https://closed.test/
ask egress-ca.pem http://closed.test/
kill %1 %2
wait
`;

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root makes namespaces in which the ports 443 and 80 are free';
  if (programPath('curl') === undefined) return 'curl is not installed';
  const tried = spawnSync('unshare', [
    '-n',
    '-m',
    'sh',
    '-c',
    'ip link set lo up && mount --bind /etc/hosts /etc/hosts',
  ]);
  return tried.status === 0 ? undefined : 'no namespaces of network and mounts here';
}

test('whoever is redirected from the ports 443 and 80 gets the credential, passes, or is refused, and knows nothing of it', async (context) => {
  const reason = missing();
  if (reason !== undefined) context.skip(reason);
  const folder = mkdtempSync(join(tmpdir(), 'sl-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const token = canary();
  const { key, certificate } = await issueServerIdentity(await testAuthority(), ['api.test', 'open.test']);
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text, { mode: 0o600 });
  write('key.pem', key);
  write('cert.pem', certificate);
  write('authority.pem', (await testAuthority()).certificate);
  write('hosts', `127.0.0.1 localhost\n${HERE} api.test open.test closed.test\n`);
  const service = (target: string): object => ({
    connector: 'http',
    target,
    credentials: { token: { from: 'env', get: 'EGRESS_TOKEN' } },
    config: { headers: { 'X-Api-Key': '{{ .token }}' } },
    ...(target.startsWith('https') ? { tls: { ca: join(folder, 'authority.pem') } } : {}),
  });
  const egress = {
    mode: 'transparent',
    listenOn: [`tcp://${HERE}:443`, `tcp://${HERE}:80`],
    allow: ['https://open.test'],
    resolve: { 'api.test': THERE, 'open.test': THERE },
  };
  const services = { secure: service('https://api.test'), plain: service('http://api.test') };
  write('secretless.yml', JSON.stringify({ version: '2', telemetry: { listenOn: 'off' }, egress, services }));
  const child = spawn('unshare', ['-n', '-m', 'bash', '-c', SCRIPT], {
    cwd: folder,
    env: environment(folder, { NODE: process.execPath, ENTRY, UPSTREAM, EGRESS_TOKEN: token }),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const printed = (await child.stdout.setEncoding('utf8').toArray()).join('');
  keepArtefact('stderr', readFileSync(join(folder, 'sidecar.log')));
  const [secured, plain, open, closed, closedPlain] = printed.split('\n').filter((line) => line !== '');
  // Told by the upstream, which is the only one that may know it.
  expect(JSON.parse(secured!.replace(token, 'the token'))).toEqual({
    scheme: 'https',
    host: 'api.test',
    key: 'the token',
  });
  expect(JSON.parse(plain!.replace(token, 'the token'))).toEqual({
    scheme: 'http',
    host: 'api.test',
    key: 'the token',
  });
  expect(JSON.parse(open!)).toEqual({ scheme: 'https', host: 'open.test' });
  expect(closed).toMatch(/alert|SSL/i);
  expect(JSON.parse(closedPlain!)).toMatchObject({ code: 'no-service' });
}, 30_000);
