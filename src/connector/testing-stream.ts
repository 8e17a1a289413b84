import { SidecarError } from '../error.ts';
import type { StreamConnector, StreamService } from './connector.ts';
import { streamContext, type Handover, type Side } from './handshake.ts';
import { EndlessLogin, perform } from './perform.ts';
import { Rehearsal, type Replies } from './rehearsal.ts';
import { credentialsOf, type ConformanceCheck, type ConnectorSample } from './testing.ts';
import { holdsSecret, print } from './testing-traces.ts';

type WholeSample = Required<ConnectorSample>;
type Values = Readonly<Record<string, string>>;

/** Steps and bytes within which a login has to give up on nonsense. */
const STEPS_MAX = 20_000;
const TAKEN_BYTES_MAX = 1024 * 1024;
const RULE = 'rule-of-conformance';
const DETAIL = 'detail-for-the-log-only';
const UNFIT = [
  ['a line break', (value: string) => `${value}\r\nX: 1`],
  ['a NUL', (value: string) => `${value}\0${value}`],
  ['an outer blank', (value: string) => ` ${value}`],
  ['a byte outside ASCII', (value: string) => `${value}\u20ac`],
  ['nothing at all', () => ''],
] as const;

/** What a stream connector keeps while it runs. */
export function streamChecks(connector: StreamConnector, sample: WholeSample): readonly ConformanceCheck[] {
  const open = async (): Promise<StreamService> => connector.open(sample.config);
  const opening = Buffer.from(sample.opening.replace(/\s/g, ''), 'hex');
  return [
    { name: 'each service gets an instance of its own', run: () => checkInstances(open, sample, opening) },
    { name: 'a client that leaves without a word hears none', run: () => checkLeaving(open) },
    { name: 'a client may leave after any byte of its opening', run: () => checkCuts(open, sample, opening) },
    { name: 'nonsense from the client ends in a close, soon', run: () => checkNonsense(open, sample, 'downstream') },
    {
      name: 'nonsense from the upstream ends soon',
      run: () => checkNonsense(open, sample, 'upstream', opening),
    },
    { name: 'it asks for permission and dials only with it', run: () => checkPermission(open, sample, opening) },
    {
      name: 'a refusal names the rule, dials nothing and quotes no secret',
      run: () => checkRefusal(open, sample, opening),
    },
    { name: 'the client hears neither details nor secrets', run: () => checkFailures(open, sample, opening) },
    { name: 'no error quotes a secret', run: () => checkErrors(open, sample, opening) },
    { name: 'the service prints no secret', run: () => checkPrint(open, sample, opening) },
    { name: 'closing twice is closing once', run: () => checkClose(open, sample, opening) },
  ];
}

type Open = () => Promise<StreamService>;

/** Who a login meets, where it does not meet failure. */
interface Cast {
  /** What the client says; it ends behind it. */
  readonly client?: () => Uint8Array | undefined;
  readonly upstream?: () => Uint8Array | undefined;
  /** Absent: policy refuses. */
  readonly credentials?: Values;
  /** Absent: the upstream cannot be reached. */
  readonly reachable?: boolean;
}

interface Run {
  /** Undefined where the login let an error through. */
  readonly handover: Handover | undefined;
  /** What it let through, or gave as the reason of its close. */
  readonly thrown: unknown;
  readonly written: Readonly<Record<Side, string>>;
  readonly asked: number;
  readonly dialled: number;
  readonly takenBytes: number;
}

async function rehearse(service: StreamService, cast: Cast): Promise<Run> {
  const written: Record<Side, Buffer[]> = { downstream: [], upstream: [] };
  const counts = { asked: 0, dialled: 0 };
  const rehearsal = new Rehearsal(repliesOf(cast, written, counts));
  let handover: Handover | undefined;
  let thrown: unknown;
  try {
    handover = await perform(service.handshake(streamContext('conformance-id', 'conformance')), rehearsal, STEPS_MAX);
  } catch (error) {
    thrown = error;
    if (error instanceof EndlessLogin) throw error;
    if (!(error instanceof SidecarError)) {
      throw new Error(`the login fails with ${error instanceof Error ? error.message : 'something'}`, { cause: error });
    }
  }
  if (rehearsal.violations.length > 0) throw new Error(`the login ${rehearsal.violations.join('; it ')}`);
  return {
    handover,
    thrown: thrown ?? (handover?.then === 'close' ? handover.error : undefined),
    written: {
      downstream: Buffer.concat(written.downstream).toString('latin1'),
      upstream: Buffer.concat(written.upstream).toString('latin1'),
    },
    ...counts,
    takenBytes: rehearsal.takenBytes('downstream') + rehearsal.takenBytes('upstream'),
  };
}

function repliesOf(cast: Cast, written: Record<Side, Buffer[]>, counts: { asked: number; dialled: number }): Replies {
  return {
    arrives: (side) => (side === 'downstream' ? cast.client?.() : cast.upstream?.()),
    written: (side, bytes) => written[side].push(bytes),
    authorize() {
      counts.asked += 1;
      if (cast.credentials === undefined) throw new SidecarError('policy-denied', { rule: RULE, detail: DETAIL });
      return { credentials: credentialsOf(cast.credentials), version: 'conformance-1' };
    },
    reauthorize: () => undefined,
    dial(address) {
      counts.dialled += 1;
      if (cast.reachable !== true) {
        throw new SidecarError('upstream-unreachable', { detail: DETAIL, cause: new Error(DETAIL) });
      }
      return address;
    },
    startTls: () => ({ alpn: undefined, peerCertificate: undefined }),
  };
}

/** Says this, once, and then ends. */
function saying(bytes: Uint8Array): () => Uint8Array | undefined {
  let left: Uint8Array | undefined = bytes.length === 0 ? undefined : bytes;
  return () => {
    const now = left;
    left = undefined;
    return now;
  };
}

async function checkInstances(open: Open, sample: WholeSample, opening: Buffer): Promise<void> {
  const [first, second] = [await open(), await open()];
  if (first === second) throw new Error('open returned one instance for two services');
  await rehearse(second, { client: saying(opening), credentials: sample.rotated });
  second.close?.();
  const { asked } = await rehearse(first, { client: saying(opening), credentials: sample.credentials });
  if (asked !== 1) throw new Error('an instance stops with another one');
}

async function checkLeaving(open: Open): Promise<void> {
  const { handover, written } = await rehearse(await open(), {});
  if (handover?.then === 'splice') throw new Error('a login without a client ended in a splice');
  if (written.downstream !== '') throw new Error('something was written to a client that had left');
}

async function checkCuts(open: Open, { credentials }: WholeSample, opening: Buffer): Promise<void> {
  const service = await open();
  for (let bytes = 0; bytes < opening.length; bytes += 1) {
    const { handover } = await rehearse(service, { client: saying(opening.subarray(0, bytes)), credentials });
    if (handover?.then === 'splice') throw new Error(`a client that left after byte ${bytes} was spliced`);
  }
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

async function checkNonsense(open: Open, { credentials }: WholeSample, side: Side, opening?: Buffer): Promise<void> {
  const service = await open();
  for (const [kind, byteAt] of Object.entries(NONSENSE)) {
    let at = 0;
    const endless = (): Buffer => Buffer.from(Array.from({ length: 512 }, () => byteAt(at++)));
    const cast: Cast =
      side === 'downstream'
        ? { client: endless, credentials }
        : { client: saying(opening ?? Buffer.alloc(0)), upstream: endless, credentials, reachable: true };
    const { handover, takenBytes } = await rehearse(service, cast);
    if (side === 'downstream' && handover?.then === 'splice') throw new Error(`${kind} from the client were spliced`);
    if (takenBytes > TAKEN_BYTES_MAX) throw new Error(`${takenBytes} bytes of ${kind} from ${side} were read`);
  }
}

async function checkPermission(open: Open, { credentials }: WholeSample, opening: Buffer): Promise<void> {
  const { asked, dialled } = await rehearse(await open(), { client: saying(opening), credentials, reachable: true });
  if (asked === 0) throw new Error("the sample's opening leads to no authorize");
  if (dialled === 0) throw new Error("the sample's opening and credentials lead to no dial");
}

async function checkRefusal(open: Open, { credentials }: WholeSample, opening: Buffer): Promise<void> {
  const service = await open();
  // A use that is allowed goes before, so that there is something to keep by mistake.
  await rehearse(service, { client: saying(opening), credentials, reachable: true });
  const { handover, dialled, written } = await rehearse(service, { client: saying(opening) });
  if (handover?.then === 'splice') throw new Error('a refused login ended in a splice');
  if (dialled > 0) throw new Error('a refused login dialled');
  if (!written.downstream.includes(RULE)) throw new Error('the refusal does not name the rule');
  if (written.downstream.includes(DETAIL)) throw new Error('the refusal quotes the detail, which is for the log only');
  if (holdsSecret(written.downstream, credentials)) throw new Error('the refusal quotes a secret');
}

async function checkFailures(open: Open, { credentials }: WholeSample, opening: Buffer): Promise<void> {
  const casts: readonly (readonly [string, Cast])[] = [
    ['an upstream out of reach', {}],
    ['an upstream that leaves', { reachable: true }],
    ['an upstream that talks nonsense', { reachable: true, upstream: saying(Buffer.from(`${DETAIL}\n`.repeat(99))) }],
  ];
  for (const [what, cast] of casts) {
    const { written } = await rehearse(await open(), { client: saying(opening), credentials, ...cast });
    if (written.downstream.includes(DETAIL)) throw new Error(`with ${what} the client hears details`);
    if (holdsSecret(written.downstream, credentials)) throw new Error(`with ${what} the client hears a secret`);
  }
}

async function checkErrors(open: Open, { credentials }: WholeSample, opening: Buffer): Promise<void> {
  for (const [name, value] of Object.entries(credentials)) {
    for (const [what, spoil] of UNFIT) {
      const broken = { ...credentials, [name]: spoil(value) };
      const { thrown, written } = await rehearse(await open(), { client: saying(opening), credentials: broken });
      const quoted = (text: string): boolean => holdsSecret(text, credentials);
      if (quoted(written.downstream)) throw new Error(`with ${what} in "${name}" the client hears a secret`);
      if (thrown instanceof Error && quoted(print(thrown))) {
        throw new Error(`the error for ${what} in "${name}" quotes a secret`);
      }
    }
  }
}

async function checkPrint(open: Open, { credentials }: WholeSample, opening: Buffer): Promise<void> {
  const service = await open();
  await rehearse(service, { client: saying(opening), credentials, reachable: true });
  if (holdsSecret(print(service), credentials)) throw new Error('the service prints a secret after its use');
}

async function checkClose(open: Open, { credentials }: WholeSample, opening: Buffer): Promise<void> {
  const service = await open();
  await rehearse(service, { client: saying(opening), credentials, reachable: true });
  service.close?.();
  service.close?.();
}
