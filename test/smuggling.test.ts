import { describe, expect, test } from 'vitest';
import { canary } from './canary.ts';
import { startRig, type Rig } from './rig.ts';
import { sendAll } from './smuggling/client.ts';
import { FRAMING_FAMILIES } from './smuggling/framing-cases.ts';
import { idOf, numbered, type HostileCase } from './smuggling/hostile-case.ts';
import { edited, LINE_FAMILIES } from './smuggling/line-cases.ts';
import { startNaiveProxy } from './smuggling/naive-proxy.ts';
import { Random, SEED } from './smuggling/random.ts';
import { startNodeRecorder, startStrictRecorder, type Recorder, type Seen } from './smuggling/recorder.ts';
import { readFramed } from './smuggling/strict-reader.ts';
import { compare, formProblem, type Admitted } from './smuggling/verdict.ts';

/** Every family is sent to the sidecar with two readers of the same bytes behind it. */
const FAMILIES = { ...FRAMING_FAMILIES, ...LINE_FAMILIES };
const RANDOM_CASES = 1_500;

const families: readonly (readonly [string, () => readonly string[]])[] = [
  ...Object.entries(FAMILIES),
  ['random edits', () => edited(new Random(SEED), RANDOM_CASES, Object.values(FAMILIES).flatMap((make) => make()))],
];

async function startTarget(recorder: Recorder): Promise<{ rig: Rig; token: string; host: string }> {
  const token = canary();
  const host = `127.0.0.1:${recorder.port}`;
  const rig = await startRig(
    `services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://${host}
    credentials: { token: { from: env, get: SMUGGLING_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
`,
    { SMUGGLING_TOKEN: token },
  );
  return { rig, token, host };
}

/** The uses in the ledger, in its order; those that came to an answer with the bytes that were read. */
function admittedIn(rig: Rig): Admitted[] {
  const ends = new Map(rig.events('exchange.ended').map((event) => [event['id'], event]));
  return rig
    .events('decision')
    .filter(({ result }) => result === 'allow')
    .map((event) => {
      const end = ends.get(event['id']);
      const answered = end?.['result'] === 'allow' && end['status'] === 200;
      return {
        method: event['method'] as string,
        path: event['path'] as string,
        ...(answered ? { bodyBytes: end['bytesUp'] as number } : {}),
      };
    });
}

/** What llhttp reads as if it were not there, and no reader takes for a request or a body: RFC 9112 sections 2.2 and 3. */
function tidied(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1');
  const lines = text.replace(/^[\r\n]+/, '').replace(/(\r\n\r\n)[\r\n]+(?=GET )/g, '$1');
  return Buffer.from(lines.replace(/ {2,}HTTP\/1/g, ' HTTP/1').replace(/^(content-length:) *0{9,}/im, '$1 '), 'latin1');
}

/** For the message of a failure: the seed and the bytes that caused it. */
function caused(cases: readonly HostileCase[], found: readonly { readonly target: string }[]): unknown {
  const ids = new Set(found.map(({ target }) => idOf(target)));
  const bytes = cases.filter(({ id }) => ids.has(id)).map((one) => one.bytes.toString('latin1'));
  return { seed: SEED, found: found.slice(0, 5), cases: bytes.slice(0, 5) };
}

const readers = { 'a strict reader': startStrictRecorder, 'node:http': startNodeRecorder };

describe.each(Object.entries(readers))('with %s as upstream', (_, startRecorder) => {
  test.each(families)('%s: the upstream sees exactly the requests that were admitted', async (_family, make) => {
    const cases = numbered(make());
    const recorder = await startRecorder();
    const { rig, token, host } = await startTarget(recorder);
    await sendAll(rig.port('api'), cases);
    await rig.sidecar.drain();

    const seen = recorder.seen();
    const { smuggled, disordered, reframed, lost } = compare(admittedIn(rig), seen);
    expect(smuggled, JSON.stringify(caused(cases, smuggled))).toEqual([]);
    expect(disordered, JSON.stringify(caused(cases, disordered))).toEqual([]);
    expect(reframed, JSON.stringify(caused(cases, reframed))).toEqual([]);
    expect(lost).toEqual([]);
    expect(recorder.problems()).toEqual([]);
    const bent: [string, Seen][] = [];
    for (const one of seen) {
      const problem = formProblem(one, host, 'X-Api-Key', token);
      if (problem !== undefined) bent.push([problem, one]);
    }
    expect(bent, JSON.stringify(caused(cases, bent.map(([, one]) => one)))).toEqual([]);
    const { appendFileSync } = await import('node:fs');
    for (const one of cases) {
      const mine = seen.filter(({ target }) => idOf(target) === one.id);
      const strict = readFramed(tidied(one.bytes));
      const keys = (list: readonly { method: string; target: string; body: string }[]) => list.map(({ method, target, body }) => `${method} ${target} ${body}`).sort();
      const left = keys(strict.messages);
      const extra = keys(mine).filter((key) => !left.includes(key));
      if (extra.length > 0) appendFileSync('/tmp/lenient.txt', JSON.stringify([_family, extra, strict.problem, one.bytes.toString('latin1').slice(0, 300)]) + '\n');
    }
    console.log(_family, cases.length, seen.length);
  }, 60_000);
});

test.each(Object.entries(readers))('with %s behind it, a proxy that forwards bytes smuggles', async (_, startRecorder) => {
  const cases = numbered(Object.values(FRAMING_FAMILIES).flatMap((make) => make().slice(0, 300)));
  const recorder = await startRecorder();
  const { port, admitted } = await startNaiveProxy(recorder.port, canary());
  await sendAll(port, cases);
  const { smuggled } = compare(admitted, recorder.seen());
  console.log(smuggled.length, smuggled.filter(({ target }) => target.endsWith('/smuggled')).length);
  expect(smuggled.filter(({ target }) => target.endsWith('/smuggled')).length).toBeGreaterThan(0);
}, 60_000);
