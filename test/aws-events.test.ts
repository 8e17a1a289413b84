import { createServer } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { WELL_KNOWN_KEY } from '../connectors/aws/config.ts';
import { event, uploadHttp1, uploadHttp2 } from './aws-event-agent.ts';
import { startEventServer } from './aws-event-server.ts';
import { over, pingPong, rest, setStage, upload, WORDS } from './aws-event-stage.ts';
import { canary } from './canary.ts';
import { connectTunnel, secure, startEgress, testAuthority } from './egress-core-kit.ts';
import { answerOf, openSession } from './http2-kit.ts';
import { startRig, startUpstream } from './rig.ts';

/**
 * Uploads in event streams, each event signed with a made-up key by the AWS SDK's signer, through the sidecar to a
 * service that verifies each with the real one. Both ways at once: an event is answered before the next is sent.
 */

test('an event is answered before the next is sent, with a key that opens nothing', async () => {
  const stage = await setStage();
  const agent = await upload(stage);
  expect(await agent.answered).toMatchObject({ status: 200 });
  await pingPong(agent, WORDS);
  await agent.end();
  expect(await rest(agent)).toEqual([]);
  const seen = await over(stage);
  expect(seen).toMatchObject({ version: '2.0', end: 'whole', events: WORDS });
  // As long as they were, the empty one at the end too.
  const lengths = WORDS.map(({ length }) => length + 83);
  expect(seen.lengths).toEqual([...lengths, 83]);
  expect(JSON.stringify(seen.head)).toContain(`Credential=${stage.real.accessKeyId}/`);
  expect(JSON.stringify(seen.head)).not.toContain(WELL_KNOWN_KEY.accessKeyId);
  expect(stage.rig.events('decision')).toMatchObject([{ result: 'allow', service: 'speech' }]);
});

test('1,000 events of up to 1 MiB arrive as they were, and come back', async () => {
  const stage = await setStage();
  const agent = await upload(stage);
  const sizes = Array.from({ length: 1000 }, (_, at) =>
    at % 100 === 99 ? 1024 * 1024 : at % 10 === 0 ? 0 : (at * 7919) % 20_000,
  );
  const events = sizes.map((size, at) => event(Buffer.alloc(size, at)));
  const sending = (async () => {
    for (const one of events) await agent.send(one);
    await agent.end();
  })();
  const warnings: Error[] = [];
  const warned = (warning: Error): unknown => warnings.push(warning);
  process.on('warning', warned);
  onTestFinished(() => void process.off('warning', warned));
  const back = await rest(agent);
  await sending;
  // Of listeners that pile up, one for each wait.
  expect(warnings).toEqual([]);
  expect(back).toHaveLength(1000);
  expect(back.every((one, at) => one.equals(events[at]!))).toBe(true);
  const seen = await over(stage);
  expect([seen.end, seen.events.length, seen.lengths.at(-1)]).toEqual(['whole', 1000, 83]);
}, 60_000);

test('through egress the same, over HTTP/2 by ALPN', async () => {
  const real = { accessKeyId: 'AKIAREALONE', secretAccessKey: canary('/+=') };
  const host = 'transcribestreaming.eu-central-1.amazonaws.com';
  const issuer = await testAuthority();
  const server = await startEventServer({ account: real, tls: { issuer, names: [host] }, speaks: 'both' });
  const wayOut = createServer().on('connect', (_, downstream: Socket) => {
    const upstream = connect(server.port, '127.0.0.1');
    for (const one of [downstream, upstream]) one.on('error', () => undefined);
    downstream.write('HTTP/1.1 200 OK\r\n\r\n');
    downstream.pipe(upstream).pipe(downstream);
  });
  await new Promise<void>((done) => wayOut.listen(0, '127.0.0.1', () => done()));
  onTestFinished(() => void wayOut.close());
  const egress = await startEgress({
    services: `  cloud:
    connector: aws
    credentials: { accessKeyId: { from: env, get: REAL_ID }, secretAccessKey: { from: env, get: REAL_KEY } }
    tls: { ca: "{ca}" }
`,
    egress: `  resolve: { ${host}: 127.0.0.1 }
  upstreamProxy: "http://127.0.0.1:${(wayOut.address() as AddressInfo).port}"
`,
    env: { REAL_ID: real.accessKeyId, REAL_KEY: real.secretAccessKey },
  });
  const { socket } = await connectTunnel(egress.port, `${host}:443`);
  const tls = await secure(socket, { servername: host, ca: egress.ca, ALPNProtocols: ['h2'] });
  const session = connectHttp2(`https://${host}`, { createConnection: () => tls });
  onTestFinished(() => session.destroy());
  const agent = await uploadHttp2(session, { host });
  await pingPong(agent, WORDS);
  await agent.end();
  expect(await rest(agent)).toEqual([]);
  expect(await over({ server })).toMatchObject({ version: '2.0', end: 'whole', events: WORDS });
});

test.each([
  ['1.1', '1.1', '1.1'],
  ['1.1', '2', '2.0'],
  ['1.1', 'both', '1.1'],
  ['2', '1.1', '1.1'],
  ['2', 'both', '2.0'],
] as const)(
  'an agent of HTTP/%s has both ways at once with a service of %s, which hears %s',
  async (own, speaks, heard) => {
    const stage = await setStage({ speaks });
    const agent = own === '2' ? await upload(stage) : await uploadHttp1(stage.port, { host: stage.host });
    await pingPong(agent, WORDS);
    await agent.end();
    expect(await rest(agent)).toEqual([]);
    expect(await over(stage)).toMatchObject({ version: heard, end: 'whole', events: WORDS });
  },
);

test('an upload whose length is announced keeps it', async () => {
  const stage = await setStage({ speaks: '1.1', late: true });
  const length = WORDS.reduce((sum, one) => sum + one.length + 83, 83);
  const agent = await uploadHttp1(stage.port, { host: stage.host, headers: { 'content-length': String(length) } });
  for (const one of WORDS) await agent.send(one);
  await agent.end();
  expect(await rest(agent)).toEqual(WORDS);
  const seen = await over(stage);
  expect(seen.head.lines).toContainEqual(['content-length', String(length)]);
});

test('what policy denies, and what no key of an agent signed, sends not a byte upstream', async () => {
  const rules =
    'rules: [{ id: no-speech, effect: deny, aws: { services: [transcribe] } }, { id: rest, effect: allow }]\n';
  const denied = await setStage({ top: rules });
  const agent = await upload(denied);
  await agent.send(WORDS[0]!);
  expect(await agent.answered).toMatchObject({ status: 403 });
  expect(await agent.text()).toContain('no-speech');
  expect(denied.server.bytesRead()).toBe(0);

  const foreign = await setStage();
  for (const [key, code] of [
    [{ ...WELL_KNOWN_KEY, secretAccessKey: 'another-secret' }, 'caller-unproven'],
    [{ ...WELL_KNOWN_KEY, accessKeyId: 'AKIASOMEBODYELSE' }, 'foreign-credential'],
  ] as const) {
    const stranger = await upload(foreign, { key });
    await stranger.send(WORDS[0]!);
    expect((await stranger.answered).headers['x-secretless-error']).toBe(code);
  }
  expect(foreign.server.bytesRead()).toBe(0);
});

test('a refusal of the service reaches the agent as it is', async () => {
  const stage = await setStage({ account: { accessKeyId: 'AKIAREALONE', secretAccessKey: 'another' } });
  const agent = await upload(stage);
  await agent.send(WORDS[0]!);
  expect(await agent.answered).toMatchObject({ status: 403 });
  expect(await agent.text()).toContain('SignatureDoesNotMatch');
});

test.each([0, 50])(
  'a body that is empty, and ends %i ms after its head, is no less whole: SDKs send such over HTTP/2',
  async (ms) => {
    const { port } = await startUpstream();
    const rig = await startRig(
      `services: { api: { connector: http, listenOn: tcp://127.0.0.1:0, target: "http://127.0.0.1:${port}", credentials: { token: { from: env, get: TOKEN } }, config: { headers: { X-Api-Key: "{{ .token }}" } } } }`,
      { TOKEN: canary() },
    );
    const stream = openSession(rig.port('api')).request({ ':method': 'POST' }, { endStream: false });
    const answered = answerOf(stream);
    if (ms > 0) await new Promise((done) => setTimeout(done, ms));
    stream.end();
    expect((await answered).status).toBe(200);
  },
);
