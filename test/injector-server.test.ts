import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pod } from './injector/pods.ts';
import {
  Caller,
  certificateFiles,
  HOST,
  openStage,
  pause,
  review,
  type Stage,
  startWebhook,
  type Webhook,
} from './injector/webhook.ts';
import { runCommand, stateFolder } from './process-rig.ts';

/* The server of the webhook: its limits, its certificate, its end. */

const MEBIBYTE = 1024 * 1024;
let stage: Stage;
let webhook: Webhook;
let api: Caller;
let ca: string;

beforeAll(async () => {
  stage = await openStage();
  ({ api, ca, webhook } = stage);
});

afterAll(() => stage.close());

describe('limits', () => {
  test('a body of 3 MiB is read, one byte more is 413, announced or not', async () => {
    const text = JSON.stringify(review(pod()));
    const most = text.padEnd(3 * MEBIBYTE, ' ');
    expect((await api.post(most)).status).toBe(200);
    expect((await api.post(`${most} `)).status).toBe(413);
    const unannounced = await api.post(`${most} `, { 'transfer-encoding': 'chunked' }).catch(() => undefined);
    // The connection may be cut before all is sent.
    if (unannounced !== undefined) expect(unannounced.status).toBe(413);
    expect((await api.review(pod())).allowed).toBe(true);
  });

  test('only POST of JSON to /mutate is answered', async () => {
    const text = JSON.stringify(review(pod()));
    expect((await api.post(text, {}, '/other')).status).toBe(404);
    expect((await api.post(text, {}, '/mutate/../mutate')).status).toBe(404);
    expect((await api.post(text, { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await api.post('{"kind":"AdmissionReview"}')).status).toBe(400);
    expect((await api.post('{')).status).toBe(400);
    const old = { ...review(pod()), apiVersion: 'admission.k8s.io/v1beta1' };
    expect((await api.post(JSON.stringify(old))).status).toBe(400);
  });

  test('connections that wait for a next request do not keep others out', { timeout: 60_000 }, async () => {
    const cut = 'POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{';
    const held: TLSSocket[] = [];
    for (let group = 0; group < 26; group += 1) {
      const opened = Array.from({ length: 20 }, async () => {
        const socket = connect({ port: webhook.port, host: '127.0.0.1', servername: HOST, ca });
        held.push(socket);
        socket.on('error', () => undefined).resume();
        socket.once('secureConnect', () => socket.write(cut));
        await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      });
      await Promise.all(opened);
    }
    try {
      const fresh = new Caller(webhook.port, ca, { keepAlive: false });
      expect((await fresh.review(pod())).allowed).toBe(true);
    } finally {
      for (const socket of held) socket.destroy();
    }
  });

  test('TLS below 1.2 is refused', async () => {
    const versions = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    const error = await new Promise<Error | undefined>((resolve) => {
      const socket = connect({ port: webhook.port, host: '127.0.0.1', servername: HOST, ca, ...versions });
      socket.once('secureConnect', () => resolve(undefined));
      socket.once('error', resolve);
    });
    expect(String(error)).toMatch(/protocol version|alert|EPROTO|ECONNRESET/);
  });

  test('a body that never ends is cut', { timeout: 30_000 }, async () => {
    const socket = connect({ port: webhook.port, host: '127.0.0.1', servername: HOST, ca });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    const head = `POST /mutate HTTP/1.1\r\nhost: ${HOST}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{`;
    const started = Date.now();
    socket.write(head);
    socket.on('error', () => undefined).resume();
    await new Promise((resolve) => socket.once('close', resolve));
    expect(Date.now() - started).toBeLessThan(20_000);
  });

  test('bodies that hang together hold 64 MiB at most', { timeout: 30_000 }, async () => {
    const part = 'x'.repeat(2.9 * MEBIBYTE);
    const head = `POST /mutate HTTP/1.1\r\nhost: ${HOST}\r\ncontent-type: application/json\r\ncontent-length: ${3 * MEBIBYTE}\r\n\r\n`;
    const answers: string[] = [];
    const sockets = Array.from({ length: 26 }, () => {
      const socket = connect({ port: webhook.port, host: '127.0.0.1', servername: HOST, ca });
      socket.on('error', () => undefined).on('data', (chunk: Buffer) => answers.push(chunk.toString('latin1')));
      socket.write(head + part);
      return socket;
    });
    for (let wait = 0; wait < 100 && !answers.some((answer) => answer.includes(' 503 ')); wait += 1) await pause();
    for (const socket of sockets) socket.destroy();
    expect(answers.some((answer) => answer.startsWith('HTTP/1.1 503 '))).toBe(true);
    await pause(200);
    expect((await api.review(pod())).allowed).toBe(true);
  });
});

test('probes and metrics are on a port of their own', async () => {
  await api.review(pod());
  const get = (path: string): Promise<globalThis.Response> => fetch(`${webhook.telemetry}${path}`);
  expect((await get('/livez')).status).toBe(200);
  expect((await get('/readyz')).status).toBe(200);
  const text = await (await get('/metrics')).text();
  expect(text).toMatch(/secretless_injector_reviews_total\{result="injected"\} [1-9]/);
  expect(text).toMatch(/secretless_injector_review_seconds_count [1-9]/);
  expect(text).toMatch(/secretless_injector_certificate_end_timestamp_seconds \d{10}/);
});

test('a new pair of certificate files is served to new connections, and open ones live on', async () => {
  const own = mkdtempSync(join(tmpdir(), 'sl-injector-tls-'));
  const files = await certificateFiles(own);
  const other = await startWebhook([...files.words, '--native', 'true']);
  await other.ready();
  const open = new Caller(other.port, files.ca);
  expect((await open.review(pod())).allowed).toBe(true);
  const next = new Caller(other.port, await files.renew(), { keepAlive: false });
  for (let wait = 0; ; wait += 1) {
    const served = await next.review(pod()).catch(() => undefined);
    if (served !== undefined) break;
    if (wait > 100) throw new Error('the new certificate is not served');
    await pause(100);
  }
  const answer = await open.post(JSON.stringify(review(pod())));
  expect(answer).toMatchObject({ status: 200, reused: true });
  open.close();
  await other.end();
  rmSync(own, { recursive: true });
});

test('after SIGTERM it is not ready, takes connections for a while, and ends with 0', async () => {
  const own = mkdtempSync(join(tmpdir(), 'sl-injector-tls-'));
  const files = await certificateFiles(own);
  const other = await startWebhook([...files.words, '--native', 'true', '--linger', '2']);
  await other.ready();
  const ended = other.end('SIGTERM');
  await pause(500);
  expect((await fetch(`${other.telemetry}/readyz`)).status).toBe(503);
  const late = new Caller(other.port, files.ca, { keepAlive: false });
  expect((await late.review(pod())).allowed).toBe(true);
  expect(await ended).toBe(0);
  rmSync(own, { recursive: true });
});

test('an address that is taken ends it with a reason', async () => {
  const files = await certificateFiles(stateFolder());
  const taken = ['--listen', `tcp://127.0.0.1:${webhook.port}`, '--telemetry', 'tcp://127.0.0.1:0'];
  const words = ['injector', '--image', 'a/b:1', '--native', 'true', ...files.words, ...taken];
  const { code, err } = await runCommand(stateFolder(), words);
  expect(err).toContain('the address cannot be listened on');
  expect(code).toBe(78);
});

describe('the command line', () => {
  const IMAGE = ['--image', 'a/b:1'];
  const FILES = ['--tls-cert', '/nowhere/tls.crt', '--tls-key', '/nowhere/tls.key'];
  const OFF = ['--telemetry', 'tcp://127.0.0.1:0'];
  test.each([
    ['no image', [], 64, '--image is missing'],
    ['an image that is none', ['--image', 'A B'], 64, 'is no name of an image'],
    ['no certificate', IMAGE, 64, '--service is missing'],
    ['half a pair', [...IMAGE, '--tls-cert', 'x'], 64, 'go together'],
    ['too long a life', [...IMAGE, '--certificate-days', '31'], 64, 'up to 30'],
    ['resources that are none', [...IMAGE, '--resources', '{"limits":{"memory":1}}'], 64, '--resources looks like'],
    ['native that is no word', [...IMAGE, ...FILES, '--native', 'perhaps'], 64, 'auto, true or false'],
    ['files that are not there', [...IMAGE, ...FILES, ...OFF, '--native', 'true'], 78, 'cannot be served'],
    ['no pod', [...IMAGE, ...FILES, ...OFF], 78, 'this is no pod of Kubernetes'],
  ])('%s is refused', async (_, words, code, message) => {
    const result = await runCommand(stateFolder(), ['injector', ...words]);
    expect(result.err).toContain(message);
    expect(result.code).toBe(code);
  });
});
