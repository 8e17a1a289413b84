import { SidecarError } from '../error.ts';
import type { RelayConnector } from './connector.ts';
import type { RelayEnd, RelayService } from './relay.ts';
import { RelayRehearsal, type RelayScript } from './relay-rehearsal.ts';
import type { ConformanceCheck, ConnectorSample } from './testing.ts';
import { holdsSecret, print } from './testing-traces.ts';

/** In place of a client that the sample does not have. */
export const silent = async (): Promise<void> => undefined;

type WholeSample = Required<ConnectorSample>;

/** Within which whatever must end has ended; the limits of a rehearsal are far below. */
const SOON_MS = 5000;
/** Nonsense that is sent at most. */
const NONSENSE_BYTES = 256 * 1024;
/** Connections that are tried at the same time. */
const TOGETHER = 16;
const RULE = 'rule-of-conformance';
const DETAIL = 'detail-for-the-log-only';
const DENIAL = new SidecarError('policy-denied', { rule: RULE, detail: DETAIL });

/** What a relay connector keeps while it runs. */
export function relayChecks(connector: RelayConnector, sample: WholeSample): readonly ConformanceCheck[] {
  const stage = new Stage(connector, sample);
  return [
    { name: 'each service gets an instance of its own', run: () => checkInstances(stage) },
    { name: 'a client that leaves without a word ends its connection', run: () => checkLeaving(stage) },
    { name: 'a client may leave after any byte of its opening', run: () => checkCuts(stage) },
    { name: 'a client that says nothing is let go', run: () => checkSilence(stage) },
    { name: 'nonsense from the client ends soon, and dials nothing', run: () => checkNonsense(stage) },
    { name: 'it asks for permission and dials only with it', run: () => checkPermission(stage) },
    { name: 'a refusal dials nothing and quotes no secret', run: () => checkRefusal(stage) },
    { name: 'a connection that is refused as a whole ends soon', run: () => checkRefused(stage) },
    { name: 'nonsense and silence from the upstream end soon', run: () => checkUpstream(stage) },
    { name: 'the end of the connection ends everything, whatever is in progress', run: () => checkEnd(stage) },
    { name: 'one connection knows nothing of another', run: () => checkApart(stage) },
    { name: 'neither errors nor the service print a secret', run: () => checkPrint(stage) },
    { name: 'closing twice is closing once', run: () => checkClose(stage) },
  ];
}

interface Run {
  /** Undefined where it threw. */
  readonly end: RelayEnd | undefined;
  readonly rehearsal: RelayRehearsal;
}

/** The connector with its sample, and a client that does what the sample says. */
class Stage {
  readonly sample: WholeSample;
  readonly opening: Buffer;
  readonly #connector: RelayConnector;

  constructor(connector: RelayConnector, sample: WholeSample) {
    this.#connector = connector;
    this.sample = sample;
    this.opening = Buffer.from(sample.opening.replace(/\s/g, ''), 'hex');
  }

  async open(): Promise<RelayService> {
    return this.#connector.open(this.sample.config);
  }

  /** One connection: `act` plays the client, and the relay has to end soon after it has. */
  async play(service: RelayService, script: RelayScript, act: (rehearsal: RelayRehearsal) => unknown): Promise<Run> {
    const rehearsal = new RelayRehearsal(script);
    rehearsal.client.resume();
    const running = rehearsal.run(service).catch((thrown: unknown) => {
      if (thrown instanceof SidecarError) return undefined;
      throw new Error(`relay fails with ${thrown instanceof Error ? thrown.message : 'something'}`, { cause: thrown });
    });
    try {
      await Promise.race([act(rehearsal), running]);
      const end = await soon(running, 'the relay has not ended');
      if (rehearsal.violations.length > 0) throw new Error(`the connector ${rehearsal.violations.join('; it ')}`);
      return { end, rehearsal };
    } finally {
      rehearsal.close();
    }
  }

  /** What the sample's client does, to its end; a client that meets a refusal is free to fail. */
  async converse({ client, asked, admitted }: RelayRehearsal): Promise<void> {
    if (this.sample.converse !== silent) {
      await soon(this.sample.converse(client), 'the client of the sample has not ended').catch((thrown: unknown) => {
        if (thrown instanceof Late) throw thrown;
      });
    } else {
      client.write(this.opening);
      // Whoever leaves is owed no answer: the client stays until it was heard, or for a moment.
      for (let turn = 0; turn < 20 && asked.length + admitted.length === 0; turn += 1) await pause(10);
      await pause(10);
    }
    client.end();
  }
}

class Late extends Error {}

async function soon<Result>(promise: Promise<Result>, otherwise: string): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Late(`${otherwise} after ${SOON_MS / 1000} s`)), SOON_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function checkInstances(stage: Stage): Promise<void> {
  const [first, second] = [await stage.open(), await stage.open()];
  if (first === second) throw new Error('open returned one instance for two services');
  const { credentials, rotated } = stage.sample;
  await stage.play(second, { credentials: rotated }, (run) => stage.converse(run));
  second.close?.();
  const before = await stage.play(await stage.open(), { credentials }, (run) => stage.converse(run));
  const after = await stage.play(first, { credentials }, (run) => stage.converse(run));
  if (after.rehearsal.asked.length !== before.rehearsal.asked.length) {
    throw new Error('an instance stops with another one');
  }
}

async function checkLeaving(stage: Stage): Promise<void> {
  const service = await stage.open();
  const { credentials } = stage.sample;
  const { rehearsal } = await stage.play(service, { credentials }, ({ client }) => client.end());
  if (rehearsal.dialled.length > 0) throw new Error('a client that said nothing made it dial');
  await stage.play(service, { credentials }, ({ client }) => client.destroy());
}

async function checkCuts(stage: Stage): Promise<void> {
  const service = await stage.open();
  const { credentials } = stage.sample;
  const cuts = Array.from(stage.opening, (_, at) => at);
  for (let at = 0; at < cuts.length; at += TOGETHER) {
    const together = cuts.slice(at, at + TOGETHER).map(async (bytes) => {
      const half = bytes % 2 === 0;
      const { rehearsal } = await stage.play(service, { credentials }, ({ client }) => {
        client.write(stage.opening.subarray(0, bytes), () => (half ? client.end() : client.destroy()));
      });
      failOnSecret(rehearsal, stage.sample, `a client that left after byte ${bytes}`);
    });
    await Promise.all(together);
  }
}

async function checkSilence(stage: Stage): Promise<void> {
  const service = await stage.open();
  const { credentials } = stage.sample;
  await Promise.all([
    stage.play(service, { credentials }, () => undefined),
    stage.play(service, { credentials }, ({ client }) => client.write(stage.opening.subarray(0, 1))),
    stage.play(service, { credentials }, ({ client }) => client.write(stage.opening)),
  ]);
}

/** Endless, each in its way. */
const NONSENSE: Readonly<Record<string, (at: number) => number>> = {
  zeros: () => 0,
  ones: () => 0xff,
  letters: (at) => 0x41 + (at % 26),
  lines: (at) => (at % 8 === 7 ? 0x0a : 0x30),
  'small numbers': (at) => (at % 4 === 3 ? 9 : 0),
  noise: (at) => (Math.imul(at + 1, 2_654_435_761) >>> 13) & 0xff,
};

async function checkNonsense(stage: Stage): Promise<void> {
  const service = await stage.open();
  const { credentials } = stage.sample;
  for (const [kind, byteAt] of Object.entries(NONSENSE)) {
    for (const before of [Buffer.alloc(0), stage.opening]) {
      const bytes = Buffer.concat([before, Buffer.from(Array.from({ length: NONSENSE_BYTES }, (_, at) => byteAt(at)))]);
      const { rehearsal } = await stage.play(service, { credentials }, async ({ client }) => {
        // What is not read is kept back by the stream: whoever neither reads nor ends is late.
        for (let at = 0; at < bytes.length && !client.destroyed; at += 8192) {
          const isWritten = new Promise((resolve) => client.write(bytes.subarray(at, at + 8192), resolve));
          await Promise.race([isWritten, pause(1000)]);
        }
        client.end();
      });
      if (before.length === 0 && rehearsal.dialled.length > 0) throw new Error(`${kind} from the client made it dial`);
      failOnSecret(rehearsal, stage.sample, `a client that sends ${kind}`);
    }
  }
}

async function checkPermission(stage: Stage): Promise<void> {
  const { credentials, converse } = stage.sample;
  const play = (script: RelayScript): Promise<Run> =>
    stage.open().then((service) => stage.play(service, script, (run) => stage.converse(run)));
  const { rehearsal } = await play({ credentials, upstream: (server) => server.resume() });
  if (converse !== silent && rehearsal.asked.length === 0) {
    throw new Error("the sample's client leads to no authorize");
  }
  failOnSecret(rehearsal, stage.sample, 'the client of the sample');
}

async function checkRefusal(stage: Stage): Promise<void> {
  const service = await stage.open();
  const { credentials } = stage.sample;
  const upstream: RelayScript['upstream'] = (server) => server.resume();
  // A use that is allowed goes before, so that there is something to keep by mistake.
  await stage.play(service, { credentials, upstream }, (run) => stage.converse(run));
  const { rehearsal } = await stage.play(service, { denial: DENIAL, upstream }, (run) => stage.converse(run));
  if (rehearsal.dialled.length > 0) throw new Error('a refused connection dialled');
  failOnSecret(rehearsal, stage.sample, 'whoever is refused');
}

async function checkRefused(stage: Stage): Promise<void> {
  const service = await stage.open();
  const { credentials } = stage.sample;
  const refusal = new SidecarError('connections-exhausted', { detail: DETAIL });
  const script: RelayScript = { credentials, refusal, upstream: (server) => server.resume() };
  for (const act of [
    (run: RelayRehearsal) => stage.converse(run),
    ({ client }: RelayRehearsal) => client.write(stage.opening),
    () => undefined,
  ]) {
    const { rehearsal } = await stage.play(service, script, act);
    if (rehearsal.dialled.length > 0) throw new Error('a connection that is refused as a whole dialled');
    failOnSecret(rehearsal, stage.sample, 'whoever is refused');
  }
}

async function checkUpstream(stage: Stage): Promise<void> {
  const { credentials } = stage.sample;
  const nonsense = Buffer.from(`${DETAIL}\n`.repeat(4096));
  const upstreams: readonly (readonly [string, RelayScript['upstream']])[] = [
    ['out of reach', undefined],
    ['that leaves', (server) => server.destroy()],
    ['that ends', (server) => server.resume().end()],
    ['that talks nonsense', (server) => server.resume().end(nonsense)],
    ['that sends zeros', (server) => server.resume().end(Buffer.alloc(64 * 1024))],
    ['that says nothing', (server) => server.resume()],
  ];
  for (const [what, upstream] of upstreams) {
    const script = { credentials, ...(upstream === undefined ? {} : { upstream }) };
    const { rehearsal } = await stage.play(await stage.open(), script, (run) => stage.converse(run));
    failOnSecret(rehearsal, stage.sample, `with an upstream ${what}, the client`);
  }
}

async function checkEnd(stage: Stage): Promise<void> {
  const { credentials } = stage.sample;
  const upstream: RelayScript['upstream'] = (server) => server.resume();
  // With limits far off, so that nothing but the end ends it.
  const script = { credentials, upstream, seconds: 60 };
  const cases: readonly (readonly [string, RelayScript, boolean])[] = [
    ['before a word was said', script, false],
    ['behind the opening', script, true],
    ['while permission is asked', { ...script, hangsAt: 'authorize' }, true],
    ['while the upstream is dialled', { ...script, hangsAt: 'dial' }, true],
  ];
  for (const [when, given, speaks] of cases) {
    const ended = stage.play(await stage.open(), given, async (rehearsal) => {
      if (speaks) {
        if (stage.sample.converse === silent) rehearsal.client.write(stage.opening);
        else stage.sample.converse(rehearsal.client).catch(() => undefined);
        await pause(100);
      }
      rehearsal.end();
    });
    await ended.catch((thrown: unknown) => {
      throw new Error(`${when}: ${thrown instanceof Error ? thrown.message : String(thrown)}`, { cause: thrown });
    });
  }
}

async function checkApart(stage: Stage): Promise<void> {
  const service = await stage.open();
  const { credentials, rotated } = stage.sample;
  const heard = Buffer.from(`${DETAIL}\n`);
  const upstream: RelayScript['upstream'] = (server) => server.resume().end(heard);
  const play = (values: Readonly<Record<string, string>>): Promise<Run> =>
    stage.play(service, { credentials: values, upstream }, (run) => stage.converse(run));
  const together = await Promise.all([play(credentials), play(rotated)]);
  const after = await play(rotated);
  const told = ({ rehearsal }: Run): string =>
    `${rehearsal.said.toString('latin1')}${rehearsal.heard.toString('latin1')}`;
  if (holdsSecret(told(together[1]), credentials) || holdsSecret(told(after), credentials)) {
    throw new Error('a connection is given the credentials of another');
  }
}

async function checkPrint(stage: Stage): Promise<void> {
  const { credentials } = stage.sample;
  const unfit = Object.fromEntries(Object.entries(credentials).map(([name, value]) => [name, `${value}\r\n\0`]));
  for (const values of [credentials, unfit]) {
    const service = await stage.open();
    const script: RelayScript = { credentials: values, upstream: (server) => server.resume().end('nonsense\n') };
    const { end, rehearsal } = await stage.play(service, script, (run) => stage.converse(run));
    const failed = end?.error === undefined ? '' : print(end.error);
    if (holdsSecret(failed, credentials)) throw new Error('the error of a connection quotes a secret');
    if (holdsSecret(rehearsal.warnings.join('\n'), credentials)) throw new Error('a warning quotes a secret');
    if (holdsSecret(print(service), credentials)) throw new Error('the service prints a secret');
    failOnSecret(rehearsal, stage.sample, 'the client');
  }
}

async function checkClose(stage: Stage): Promise<void> {
  const service = await stage.open();
  await stage.play(service, { credentials: stage.sample.credentials }, (run) => stage.converse(run));
  service.close?.();
  service.close?.();
}

function failOnSecret({ heard }: RelayRehearsal, sample: WholeSample, who: string): void {
  const text = heard.toString('latin1');
  if (text.includes(DETAIL)) throw new Error(`${who} hears details, which are for the log only`);
  if (holdsSecret(text, sample.credentials)) throw new Error(`${who} hears a secret`);
}
