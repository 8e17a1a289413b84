import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { SidecarError } from '../error.ts';
import { openLog } from '../telemetry/log.ts';
import { ControlClient } from './control-client.ts';
import { openControl, type Control, type ControlHandlers } from './control.ts';
import { exampleStatus } from './testdata/example-status.ts';

const log = openLog({ level: 'error', stream: { write: () => undefined } });

function socketPath(): string {
  const folder = mkdtempSync(join(tmpdir(), 'control-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, 'state', 'control.sock');
}

async function open(handlers: Partial<ControlHandlers> = {}, path = socketPath()): Promise<Control> {
  const all = { status: () => exampleStatus(), stop: () => undefined, reload: () => undefined, ...handlers };
  const control = await openControl({ path, handlers: all, log });
  onTestFinished(() => control.close());
  return control;
}

interface Question {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

async function ask(control: Control, question: Question): Promise<{ status: number; body: string }> {
  const { method = 'GET', path = '/v1/status', headers = {}, body } = question;
  const asked = request({
    socketPath: control.path,
    agent: false,
    method,
    path,
    headers: { host: 'localhost', ...headers },
  });
  asked.end(body);
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return { status: response.statusCode!, body: await text(response) };
}

const JSON_TYPE = { 'content-type': 'application/json' };

test('a client gets the status', async () => {
  const control = await open();
  expect(await new ControlClient(control.path).status()).toEqual(exampleStatus());
});

test('the socket is for its owner alone, and so is the folder made for it', async () => {
  const control = await open();
  expect(statSync(control.path).mode & 0o777).toBe(0o600);
  expect(statSync(join(control.path, '..')).mode & 0o777).toBe(0o700);
});

test('stop is called once its answer is out', async () => {
  const stopped = Promise.withResolvers<void>();
  const control = await open({ stop: () => stopped.resolve() });
  await new ControlClient(control.path).stop();
  await stopped.promise;
});

test('the answer to stop arrives even where stop closes the socket at once', async () => {
  const control: Control = await open({ stop: () => control.close() });
  await new ControlClient(control.path).stop();
});

test('a stop that fails leaves the socket answering', async () => {
  const control = await open({ stop: () => Promise.reject(new Error('no')) });
  await new ControlClient(control.path).stop();
  expect((await ask(control, {})).status).toBe(200);
});

test('a refused reload tells the problems of the file', async () => {
  const control = await open({
    reload: () => Promise.reject(new SidecarError('config-invalid', { detail: 'secretless.yml:3:5 unknown key' })),
  });
  await expect(new ControlClient(control.path).reload()).rejects.toMatchObject({
    code: 'config-invalid',
    detail: 'secretless.yml:3:5 unknown key',
  });
});

test('the detail of any other failure stays inside', async () => {
  const control = await open({ reload: () => Promise.reject(new Error('host db.internal')) });
  const answer = await ask(control, { method: 'POST', path: '/v1/reload', headers: JSON_TYPE });
  expect(answer.status).toBe(500);
  expect(answer.body).not.toContain('db.internal');
});

test.each(['evil.example', '127.0.0.1', 'localhost:80', 'localhost.evil'])('Host %s is refused', async (host) => {
  expect((await ask(await open(), { headers: { host } })).status).toBe(421);
});

test('any Origin is refused', async () => {
  expect((await ask(await open(), { headers: { origin: 'http://localhost' } })).status).toBe(403);
});

test('a POST that a web form could send does nothing', async () => {
  let calls = 0;
  const control = await open({ stop: () => void (calls += 1) });
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', '']) {
    const question = { method: 'POST', path: '/v1/stop', headers: { 'content-type': type }, body: '{}' };
    expect((await ask(control, question)).status).toBe(415);
  }
  expect(calls).toBe(0);
});

test('bodies are small JSON', async () => {
  const control = await open();
  const post = { method: 'POST', path: '/v1/reload', headers: { 'content-type': 'application/json; charset=utf-8' } };
  expect((await ask(control, { ...post, body: '{}' })).status).toBe(200);
  expect((await ask(control, { ...post, body: '{' })).status).toBe(415);
  expect((await ask(control, { ...post, body: JSON.stringify('x'.repeat(5000)) })).status).toBe(413);
});

test('GET changes nothing', async () => {
  const control = await open();
  expect((await ask(control, { path: '/v1/stop' })).status).toBe(405);
  expect((await ask(control, { path: '/v1/none' })).status).toBe(404);
});

test('a second sidecar on the same socket is refused and the first goes on', async () => {
  const control = await open();
  await expect(open({}, control.path)).rejects.toMatchObject({ code: 'address-unavailable' });
  expect((await ask(control, {})).status).toBe(200);
});

test('closing removes the socket', async () => {
  const control = await open();
  await control.close();
  expect(existsSync(control.path)).toBe(false);
  await expect(new ControlClient(control.path).status()).rejects.toMatchObject({ code: 'not-running' });
});

test('a socket that never answers is given up', async () => {
  const path = join(socketPath(), '..', '..', 'mute.sock');
  const mute = createServer(() => undefined).listen(path);
  await once(mute, 'listening');
  onTestFinished(() => void mute.close());
  await expect(new ControlClient(path, 50).status()).rejects.toThrow('did not answer within 50 ms');
});

test('an answer that is no status is refused', async () => {
  const control = await open({ status: () => ({}) as never });
  await expect(new ControlClient(control.path).status()).rejects.toThrow('not a status');
});
