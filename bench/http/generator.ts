import { closedLoop, openLoop, type WireTraffic } from './loops.ts';
import type { BodyTransfer, Held, Load, Question, Traffic } from './messages.ts';
import { Wire } from './wire.ts';

/** The load generator: a process of its own, told what to do over its channel, one thing at a time. */

function overTcp({ port, connections, request }: Traffic): WireTraffic {
  return { make: (onEnd) => new Wire(port, onEnd), connections, request };
}

const held: Wire[] = [];
const OPENING_AT_ONCE = 100;

async function hold({ port, connections, request }: Extract<Question, { do: 'hold' }>): Promise<Held> {
  let failures = 0;
  for (let at = 0; at < connections; at += OPENING_AT_ONCE) {
    const some = Array.from({ length: Math.min(OPENING_AT_ONCE, connections - at) }, () => holdOne(port, request));
    for (const ok of await Promise.all(some)) if (!ok) failures += 1;
  }
  return { connections: held.length, failures };
}

function holdOne(port: number, request: string | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const wire = new Wire(port, (answer) => resolve(!(answer instanceof Error) && answer.status === 200));
    held.push(wire);
    if (request !== undefined) wire.send(Buffer.from(request, 'latin1'));
    else
      wire.open().then(
        () => resolve(true),
        () => resolve(false),
      );
  });
}

function release(): Held {
  const connections = held.length;
  for (const wire of held.splice(0)) wire.close();
  return { connections, failures: 0 };
}

const BLOCK = Buffer.alloc(64 * 1024, 'x');

function transfer({ port, head, uploadBytes }: Extract<Question, { do: 'body' }>): Promise<BodyTransfer> {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const wire = new Wire(port, (answer) => {
      wire.close();
      if (answer instanceof Error) reject(answer);
      else resolve({ seconds: (performance.now() - begun) / 1000, ...answer });
    });
    wire.upload(Buffer.from(head, 'latin1'), BLOCK, uploadBytes);
  });
}

function answer(question: Question): Promise<Load | Held | BodyTransfer> | Held {
  switch (question.do) {
    case 'closed':
      return closedLoop(overTcp(question), question.ms);
    case 'open':
      return openLoop(overTcp(question), question.ms, question.perSecond);
    case 'hold':
      return hold(question);
    case 'release':
      return release();
    case 'body':
      return transfer(question);
    default:
      return question satisfies never;
  }
}

process.on('message', (question: Question) => {
  Promise.resolve(answer(question)).then(
    (result) => process.send!(result),
    (error: unknown) => process.send!({ failed: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send!({ ready: true });
