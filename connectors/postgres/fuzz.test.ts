import {
  type Facts,
  type Handover,
  SidecarError,
  streamContext,
  type StreamService,
} from 'secretless-sidecar/connector';
import { credentialsOf, perform, Rehearsal, type Replies } from 'secretless-sidecar/connector/testing';
import { expect, test, vi } from 'vitest';
import type { PostgresConfig } from './config.ts';
import { postgres } from './index.ts';
import { ScramExchange } from './scram.ts';
import { Dice } from './testdata/transcript-dice.ts';
import { FuzzedServer, fuzzedOpening } from './testdata/transcript-fuzz.ts';
import { authenticationOk, fieldsOf, ready } from './testdata/transcript-messages.ts';
import { clientStartup, PASSWORD, PLAIN } from './testdata/transcript-talk.ts';

/** Frames of each direction that a login gets to read. */
const FRAMES = 1_000_000;
const STEPS_MAX = 5_000;
/** Of the first session; each failure names its own. */
const SEED = Number(process.env['SECRETLESS_FUZZ_SEED'] ?? 20_261_122);

async function open(config: PostgresConfig): Promise<StreamService> {
  return await postgres.open(config);
}

interface Heard {
  readonly handover: Handover;
  readonly downstream: Buffer;
  readonly upstream: readonly Buffer[];
}

/** Runs one login; throws what must never be: a crash, a rule broken, an error let through, an endless login. */
async function run(
  service: StreamService,
  replies: Omit<Replies, 'written'>,
  hears?: (bytes: Buffer) => void,
): Promise<Heard> {
  const downstream: Buffer[] = [];
  const upstream: Buffer[] = [];
  const rehearsal = new Rehearsal({
    ...replies,
    written(side, bytes) {
      (side === 'downstream' ? downstream : upstream).push(bytes);
      if (side === 'upstream') hears?.(bytes);
    },
  });
  const handover = await perform(service.handshake(streamContext('conn-7', 'orders')), rehearsal, STEPS_MAX);
  if (rehearsal.violations.length > 0) throw new Error(rehearsal.violations.join());
  if (handover.then === 'close' && handover.error?.code === 'internal') throw handover.error;
  return { handover, downstream: Buffer.concat(downstream), upstream };
}

const authorized = { credentials: credentialsOf(PLAIN), version: 'v1' };
const noTls = (): never => {
  throw new SidecarError('upstream-tls');
};

/** Sessions until so many frames were read; what goes wrong is told with its seed. */
async function fuzz(frames: number, session: (dice: Dice) => Promise<number>): Promise<void> {
  // Most sessions end in an error, and to note where each arose takes longer than the session.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    await fuzzFrom(SEED, frames, session);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

async function fuzzFrom(first: number, frames: number, session: (dice: Dice) => Promise<number>): Promise<void> {
  for (let read = 0, seed = first; read < frames; seed += 1) {
    try {
      read += await session(new Dice(seed));
    } catch (cause) {
      throw new Error(`SECRETLESS_FUZZ_SEED=${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, {
        cause,
      });
    }
  }
}

async function serverSession(service: StreamService, dice: Dice): Promise<number> {
  let server = new FuzzedServer(dice, PASSWORD);
  let frames = 0;
  let opening: Buffer | undefined = clientStartup;
  const replies: Omit<Replies, 'written'> = {
    arrives(side) {
      if (side === 'downstream') {
        const now = opening;
        opening = undefined;
        return now;
      }
      const said = server.says();
      if (said !== undefined) frames += 1;
      return said;
    },
    authorize: () => authorized,
    reauthorize: () => (dice.roll(2) === 0 ? undefined : authorized),
    dial(address) {
      server = new FuzzedServer(dice, PASSWORD);
      return address;
    },
    startTls: noTls,
  };
  const { handover, downstream } = await run(service, replies, (bytes) => server.hears(bytes));
  if (handover.then === 'splice' && !server.isProved) throw new Error('a splice with a server that proved nothing');
  // Until the server has proved itself, the client hears one error of ours or of it, and nothing else.
  if (!server.isProved && !isOneError(downstream)) throw new Error('the client hears a server that proved nothing');
  if (downstream.includes(PASSWORD)) throw new Error('the client hears the password');
  return frames;
}

async function clientSession(service: StreamService, dice: Dice): Promise<number> {
  const opening = fuzzedOpening(dice);
  const isDenied = dice.roll(4) > 0;
  let frames = 0;
  let facts: Facts | undefined;
  let greeting: Buffer | undefined = Buffer.concat([authenticationOk, ready()]);
  const replies: Omit<Replies, 'written'> = {
    arrives(side) {
      if (side === 'upstream') {
        const now = greeting;
        greeting = undefined;
        return now;
      }
      const next = opening.shift();
      if (next !== undefined) frames += 1;
      return next;
    },
    authorize(step) {
      ({ facts } = step);
      if (isDenied) throw new SidecarError('policy-denied', { rule: 'r-9' });
      return authorized;
    },
    reauthorize: () => undefined,
    dial: (address) => address,
    startTls: noTls,
  };
  const { handover, downstream, upstream } = await run(service, replies);
  if (handover.then === 'splice' && (facts === undefined || isDenied)) throw new Error('a splice without permission');
  if (facts === undefined) refuseWordsAhead(downstream);
  if (upstream.length > 0) checkIdentity(upstream[0]!, facts!);
  return Math.max(frames, 1);
}

function isOneError(bytes: Buffer): boolean {
  try {
    return fieldsOf(bytes)['C'] !== undefined;
  } catch {
    return false;
  }
}

/** Where a client awaits the answer to a request, an ErrorResponse would be taken for one. */
function refuseWordsAhead(downstream: Buffer): void {
  const answers = /^N{0,2}/.exec(downstream.toString('latin1'))![0].length;
  const rest = downstream.subarray(answers);
  if (rest.length > 0 && !rest.toString('latin1').startsWith('EFATAL:')) fieldsOf(rest);
}

/** What goes upstream is the identity that policy has allowed, by a reading of its own. */
function checkIdentity(packet: Buffer, { database, replication }: Facts): void {
  if (packet.readUInt32BE(0) !== packet.length) throw new Error('a StartupMessage of another length');
  const parts = packet.subarray(8).toString('latin1').split('\0');
  const valuesOf = (name: string): string[] => parts.filter((_, at) => at % 2 === 1 && parts[at - 1] === name);
  if (valuesOf('user').join() !== 'app') throw new Error(`as the user ${valuesOf('user').join()}`);
  const [opened = '', ...more] = valuesOf('database');
  // What is not UTF-8 is told to policy with its bytes as lone surrogates (PEP 383).
  const escaped = opened.replace(/[\u0080-\u00ff]/g, (byte) => String.fromCharCode(0xdc00 + byte.charCodeAt(0)));
  const isAllowed = escaped === database || Buffer.from(opened, 'latin1').toString('utf8') === database;
  if (!isAllowed || more.length > 0) throw new Error('a database that policy did not see');
  const replicates = valuesOf('replication').some((value) => !['', 'off', 'false', '0', 'no'].includes(value));
  if (replicates && replication !== true) throw new Error('a replication stream that policy did not see');
}

test('a million frames of servers: no crash, no endless login, no splice that is not earned', async () => {
  const service = await open({ requireAuth: ['scram-sha-256'] });
  await fuzz(FRAMES, (dice) => serverSession(service, dice));
}, 240_000);

test('a million frames of clients: no crash, no dial without permission, no other identity than allowed', async () => {
  const service = await open({});
  await fuzz(FRAMES, (dice) => clientSession(service, dice));
}, 240_000);

test('a login that does not look at the server’s signature is found out', async () => {
  const blind = vi.spyOn(ScramExchange.prototype, 'readServerFinal').mockReturnValue(undefined);
  try {
    const service = await open({ requireAuth: ['scram-sha-256'] });
    const found = fuzz(100_000, (dice) => serverSession(service, dice));
    await expect(found).rejects.toThrow(/SECRETLESS_FUZZ_SEED=\d+: .* a server that proved nothing/);
  } finally {
    blind.mockRestore();
  }
});
