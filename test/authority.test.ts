import { describe, expect, test } from 'vitest';
import { canary } from './canary.ts';
import { startRig } from './rig.ts';
import { startAncestorProxy } from './smuggling/ancestor-proxy.ts';
import { sendAll } from './smuggling/client.ts';
import { startNodeRecorder, type InProcessRecorder as Recorder } from './smuggling/recorder.ts';
import { valuesOf } from './smuggling/strict-reader.ts';

/** Three upstreams that record; the credential belongs to one origin of the first. */
async function startUpstreams(): Promise<{ bound: Recorder; others: Recorder[] }> {
  return { bound: await startNodeRecorder(), others: [await startNodeRecorder(), await startNodeRecorder()] };
}

/** Ways to write an authority that some reader takes for `bound` and another for `evil`; both are `host:port`. */
function authorities(bound: string, evil: string): string[] {
  const port = bound.split(':')[1]!;
  const evilPort = evil.split(':')[1]!;
  return [
    ...[
      bound,
      evil,
      `localhost:${port}`,
      `localhost:${evilPort}`,
      `LOCALHOST:${port}`,
      `127.0.0.1`,
      `127.0.0.1:`,
      `127.0.0.1:0${port}`,
    ],
    ...[
      `${bound}@${evil}`,
      `${evil}@${bound}`,
      `user:${bound}@${evil}`,
      `${bound}%40${evil}`,
      `${bound}%00@${evil}`,
      `${bound}#@${evil}`,
    ],
    ...[
      `${bound}\\@${evil}`,
      `${bound};@${evil}`,
      `${bound},${evil}`,
      `${evil},${bound}`,
      `${bound} ${evil}`,
      `${bound}\t@${evil}`,
    ],
    ...[
      `127.1:${port}`,
      `2130706433:${port}`,
      `0x7f000001:${port}`,
      `0177.0.0.1:${port}`,
      `127.0.0.1.:${port}`,
      `127.0.0.1.evil.test:${evilPort}`,
    ],
    ...[
      `[::1]:${port}`,
      `[::ffff:127.0.0.1]:${port}`,
      `[::ffff:7f00:1]:${evilPort}`,
      `127%2e0.0.1:${port}`,
      `127.0.0.1%00.evil:${evilPort}`,
    ],
    ...[
      `127.0.0.1\x00:${evilPort}`,
      `${bound}.`,
      `.${bound}`,
      `${bound}:${evilPort}`,
      `0.0.0.0:${port}`,
      `127.0.0.2:${port}`,
      `①27.0.0.1:${port}`,
    ],
  ];
}

interface Pair {
  readonly bytes: Buffer;
}

function request(target: string, host: string): Pair {
  return { bytes: Buffer.from(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`, 'latin1') };
}

function pairs(bound: string, evil: string): Pair[] {
  const all = authorities(bound, evil);
  const hosts = [
    bound,
    evil,
    `localhost:${bound.split(':')[1]}`,
    `${bound}@${evil}`,
    `${bound}, ${evil}`,
    '',
    `${bound}.`,
    `${bound}\x00${evil}`,
  ];
  return [
    ...all.flatMap((authority) => hosts.map((host) => request(`http://${authority}/v1`, host))),
    // Host as the URL has it: nothing but the URL itself may stand in the way.
    ...all.map((authority) => request(`http://${authority}/v1`, authority)),
    ...all.flatMap((authority) =>
      ['HTTP', 'https', 'ftp'].map((scheme) => request(`${scheme}://${authority}/v1`, authority)),
    ),
    ...[
      `http://${evil}/?u=http://${bound}/`,
      `http://${evil}/#http://${bound}/`,
      `http://${evil}/${bound}/`,
      `http:${evil}/${bound}`,
    ].flatMap((target) => [request(target, evil), request(target, bound)]),
  ];
}

/** `host:port` that the credential came to, per request that had it. */
function reached(recorders: readonly Recorder[], token: string): string[] {
  return recorders.flatMap((recorder) =>
    recorder
      .seen()
      .filter(({ fields }) => fields.some(([, value]) => value.includes(token)))
      .map(({ fields }) => `${valuesOf(fields, 'host').join(' and ')} at ${recorder.port}`),
  );
}

const FORWARD = (port: number, unmatched: string): string => `services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    unmatched: ${unmatched}
    credentials: { token: { from: env, get: AUTHORITY_TOKEN } }
    config:
      headers: { X-Api-Key: "{{ .token }}" }
      authenticateURLsMatching: '^http://127\\.0\\.0\\.1:${port}/'
`;

describe.each(['deny', 'pass'])('a forward proxy with `unmatched: %s`', (unmatched) => {
  test('the credential reaches the bound origin and no other, whatever URL and Host say', async () => {
    const token = canary();
    const { bound, others } = await startUpstreams();
    const rig = await startRig(FORWARD(bound.port, unmatched), { AUTHORITY_TOKEN: token });
    const cases = others.flatMap((other) => pairs(`127.0.0.1:${bound.port}`, `127.0.0.1:${other.port}`));
    expect(cases.length).toBeGreaterThan(200);
    await sendAll(rig.port('api'), cases);

    const uses = reached([bound, ...others], token);
    expect(new Set(uses)).toEqual(new Set([`127.0.0.1:${bound.port} at ${bound.port}`]));
    const passed = others.flatMap((other) => other.seen());
    if (unmatched === 'pass') expect(passed.length).toBeGreaterThan(0);
    else expect(passed).toEqual([]);
  });
});

test('a proxy that looks for the host in the text sends the credential elsewhere', async () => {
  const token = canary();
  const { bound, others } = await startUpstreams();
  const host = `127.0.0.1:${bound.port}`;
  const port = await startAncestorProxy(host, 'X-Api-Key', token);
  await sendAll(
    port,
    others.flatMap((other) => pairs(host, `127.0.0.1:${other.port}`)),
  );
  expect(reached(others, token).length).toBeGreaterThan(0);
});

test('in reverse mode no value of Host moves the credential or the Host that is sent', async () => {
  const token = canary();
  const { bound, others } = await startUpstreams();
  const host = `127.0.0.1:${bound.port}`;
  const rig = await startRig(
    `services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://${host}
    credentials: { token: { from: env, get: AUTHORITY_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
`,
    { AUTHORITY_TOKEN: token },
  );
  const cases = others.flatMap((other) => {
    const evil = `127.0.0.1:${other.port}`;
    return [
      ...authorities(host, evil).flatMap((value) => [
        request('/v1', value),
        request(`//${value}/v1`, host),
        request(`/${value}`, value),
      ]),
      ...pairs(host, evil),
    ];
  });
  await sendAll(rig.port('api'), cases);

  expect(others.flatMap((other) => other.seen())).toEqual([]);
  expect(new Set(reached([bound], token))).toEqual(new Set([`${host} at ${bound.port}`]));
});
