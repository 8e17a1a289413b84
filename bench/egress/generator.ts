import type { TLSSocket } from 'node:tls';
import { closedLoop, openLoop } from '../http/loops.ts';
import { Wire, type Answer } from '../http/wire.ts';
import { exchangeMessages, requestStreams } from './h2-load.ts';
import { tallied } from './tally.ts';
import type { BodyTransfer, Load, Question } from './messages.ts';
import { openTls, type Route } from './route.ts';

/** The load generator: a process of its own, told what to do over its channel, one thing at a time. */

const BLOCK = Buffer.alloc(64 * 1024, 'x');

type OnEnd = (answer: Answer | Error) => void;

/** Wires on connections that are open before anything is counted. */
async function warmWires(route: Route, connections: number): Promise<(onEnd: OnEnd) => Wire> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => openTls(route, 'http/1.1')));
  return (onEnd) => wireOn(sockets.pop()!, onEnd);
}

/** A connection that ends is a failure, not one to open again. */
function wireOn(socket: TLSSocket, onEnd: OnEnd): Wire {
  let taken = false;
  return new Wire(() => {
    if (taken) throw new Error('the peer closed a kept connection');
    taken = true;
    return socket;
  }, onEnd);
}

async function handshakes(question: Extract<Question, { do: 'handshakes' }>): Promise<Load> {
  const { route, connections, request, ms } = question;
  const bytes = Buffer.from(request, 'latin1');
  return tallied(connections, ms, async () => {
    const socket = await openTls(route, 'http/1.1');
    await new Promise<void>((resolve, reject) => {
      const wire = wireOn(socket, (answer) => {
        wire.close();
        if (answer instanceof Error) reject(answer);
        else if (answer.status === 200) resolve();
        else reject(new Error(`status ${answer.status}`));
      });
      wire.send(bytes);
    });
  });
}

async function transfer({ route, head, uploadBytes }: Extract<Question, { do: 'body' }>): Promise<BodyTransfer> {
  const socket = await openTls(route, 'http/1.1');
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const wire = wireOn(socket, (answer) => {
      wire.close();
      if (answer instanceof Error) reject(answer);
      else resolve({ seconds: (performance.now() - begun) / 1000, ...answer });
    });
    wire.upload(Buffer.from(head, 'latin1'), BLOCK, uploadBytes);
  });
}

async function answer(question: Question): Promise<Load | BodyTransfer> {
  switch (question.do) {
    case 'closed':
    case 'open': {
      const { route, connections, request, ms } = question;
      const traffic = { make: await warmWires(route, connections), connections, request };
      return question.do === 'closed' ? closedLoop(traffic, ms) : openLoop(traffic, ms, question.perSecond);
    }
    case 'handshakes':
      return handshakes(question);
    case 'body':
      return transfer(question);
    case 'streams':
      return requestStreams(question);
    case 'messages':
      return exchangeMessages(question);
    default:
      return question satisfies never;
  }
}

process.on('message', (question: Question) => {
  answer(question).then(
    (result) => process.send!(result),
    (error: unknown) => process.send!({ failed: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send!({ ready: true });
