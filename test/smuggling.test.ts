import { describe, expect, test } from 'vitest';
import { canary } from './canary.ts';
import { startRig, type Rig } from './rig.ts';
import { sendAll } from './smuggling/client.ts';
import { FRAMING_FAMILIES } from './smuggling/framing-cases.ts';
import { idOf, numbered, type HostileCase } from './smuggling/hostile-case.ts';
import { edited, LINE_FAMILIES } from './smuggling/line-cases.ts';
import { startNaiveProxy } from './smuggling/naive-proxy.ts';
import { PYTHON, startPythonRecorder } from './smuggling/python-recorder.ts';
import { Random, SEED } from './smuggling/random.ts';
import { startNodeRecorder, startStrictRecorder, type Recorder } from './smuggling/recorder.ts';
import { beyondReading, compare, formProblem, type Admitted } from './smuggling/verdict.ts';

/** Every family is sent to the sidecar with two readers of the same bytes behind it. */
const FAMILIES = { ...FRAMING_FAMILIES, ...LINE_FAMILIES };
const RANDOM_CASES = 1_500;

/** Families in which nothing is well-formed enough to be let through. */
const ONLY_REFUSED: ReadonlySet<string> = new Set(['a length and a coding', 'folded lines']);

const families: readonly (readonly [string, () => readonly string[]])[] = [
  ...Object.entries(FAMILIES),
  [
    'random edits',
    () =>
      edited(
        new Random(SEED),
        RANDOM_CASES,
        Object.values(FAMILIES).flatMap((make) => make()),
      ),
  ],
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

/** For the message of a failure: the seed and the bytes that caused it, without the credential that was sent. */
function caused(cases: readonly HostileCase[], found: readonly { readonly method: string; readonly target: string }[]) {
  return found.slice(0, 10).map(({ method, target }) => {
    const bytes = cases.find(({ id }) => id === idOf(target))?.bytes.toString('latin1');
    return { seed: SEED, request: `${method} ${target}`, bytes };
  });
}

interface Reader {
  readonly name: string;
  readonly start: () => Promise<Recorder>;
  /** Takes every nth case. */
  readonly every: number;
}

const readers: readonly Reader[] = [
  { name: 'a strict reader', start: startStrictRecorder, every: 1 },
  { name: 'node:http', start: startNodeRecorder, every: 6 },
  ...(PYTHON === undefined ? [] : [{ name: "python's http.server", start: startPythonRecorder, every: 12 }]),
];

test.skipIf(PYTHON !== undefined)('python3 is not on this machine: its http.server is not asked', ({ skip }) => skip());

describe.each(readers)('with $name as upstream', ({ start, every }) => {
  test.each(families)(
    '%s: the upstream sees exactly the requests that were admitted',
    async (_, make) => {
      const cases = numbered(make()).filter((_one, at) => at % every === 0);
      const recorder = await start();
      const { rig, token, host } = await startTarget(recorder);
      await sendAll(rig.port('api'), cases);
      await rig.sidecar.drain();

      const seen = await recorder.seen();
      expect(seen.length > 0 || ONLY_REFUSED.has(_)).toBe(true);
      const { smuggled, disordered, reframed, lost } = compare(admittedIn(rig), seen);
      expect(caused(cases, smuggled)).toEqual([]);
      expect(caused(cases, disordered)).toEqual([]);
      expect(caused(cases, reframed)).toEqual([]);
      expect(lost).toEqual([]);
      const beyond = beyondReading(cases, seen);
      expect(caused(cases, beyond)).toEqual([]);
      expect(recorder.problems()).toEqual([]);
      for (const one of seen) {
        const problem = formProblem(one, host, 'X-Api-Key', token);
        expect(problem, JSON.stringify(caused(cases, [one]))).toBeUndefined();
      }
    },
    60_000,
  );
});

test.each(readers)(
  'with $name behind it, a proxy that forwards bytes smuggles',
  async ({ start }) => {
    const cases = numbered(Object.values(FAMILIES).flatMap((make) => make().slice(0, 60)));
    const recorder = await start();
    const { port, admitted } = await startNaiveProxy(recorder.port, canary());
    await sendAll(port, cases);
    const seen = await recorder.seen();
    const { smuggled } = compare(admitted, seen);
    expect(smuggled.filter(({ target }) => target.endsWith('/smuggled')).length).toBeGreaterThan(0);
  },
  60_000,
);
