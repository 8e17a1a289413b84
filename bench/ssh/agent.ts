import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { wire, type WireField } from '../../connectors/ssh/transport/wire.ts';
import { spread } from '../harness/statistics.ts';
import type { AgentFigures } from './result.ts';
import type { Stage } from './stage.ts';
import type { Target } from './target.ts';
import { byTurns, failuresOf, figuresOf, type Turn } from '../harness/turns.ts';

/** draft-ietf-sshm-ssh-agent §5.1. */
const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;
const ROUNDS = 5;

/** Signatures as git asks for them, by OpenSSH's own agent and by the sidecar's, in rounds by turns. */
export async function measureAgent(stage: Stage, targets: readonly Target[]): Promise<AgentFigures[]> {
  const { signatures } = stage.options.sizes;
  stage.say(`${signatures} signatures of each agent`);
  const each = Math.ceil(signatures / ROUNDS);
  const turns = await byTurns(targets, ROUNDS, ({ agentSocket }) => signMany(agentSocket, each));
  const timesOf = (name: string): (number | undefined)[] =>
    figuresOf<readonly number[]>(turns.get(name) as Turn<readonly number[]>[]).flatMap((times) => times ?? []);
  const direct = spread(timesOf('direct'))?.median;
  return targets.map(({ name }) => {
    const ms = spread(timesOf(name));
    const addedMs = name === 'direct' || ms === undefined || direct === undefined ? undefined : ms.median - direct;
    return { target: name, signatures: each * ROUNDS, ...failuresOf(turns.get(name)!), ms, addedMs };
  });
}

/** Milliseconds of each. */
async function signMany(path: string, count: number): Promise<number[]> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    const listed = await ask(socket, IDENTITIES_ANSWER, { byte: REQUEST_IDENTITIES });
    const key = listed.subarray(9, 9 + listed.readUInt32BE(5));
    const times: number[] = [];
    for (let at = 0; at < count; at += 1) {
      // PROTOCOL.sshsig §2: a preamble that no login begins with, namespace, reserved, hash, digest.
      const document = wire({ raw: Buffer.from('SSHSIG') }, 'git', '', 'sha512', randomBytes(64));
      const begun = performance.now();
      await ask(socket, SIGN_RESPONSE, { byte: SIGN_REQUEST }, key, document, { uint32: 0 });
      times.push(performance.now() - begun);
    }
    return times;
  } finally {
    socket.destroy();
  }
}

/** One question and the whole of its answer, without its length. Throws where it is another answer. */
async function ask(socket: Socket, type: number, ...fields: readonly WireField[]): Promise<Buffer> {
  const question = wire(...fields);
  socket.write(wire({ uint32: question.length }, { raw: question }));
  let got = Buffer.alloc(0);
  while (got.length < 4 || got.length < 4 + got.readUInt32BE(0)) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    got = Buffer.concat([got, chunk]);
  }
  if (got[4] !== type) throw new Error(`the agent answered ${got[4]} where ${type} was to come`);
  return got.subarray(4);
}
