import { connect } from 'node:net';
import { keepArtefact } from '../canary.ts';

/** Silence after which a listener that waits for more is left alone. */
const QUIET_MS = 250;
const AT_ONCE = 64;

/** Writes bytes on a connection of their own and reads until the other side closes or falls silent. */
export function send(port: number, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => undefined);
    socket.on('end', () => socket.destroy());
    socket.setTimeout(QUIET_MS, () => socket.destroy());
    socket.on('close', () => resolve(Buffer.concat(chunks)));
  });
}

/** Sends every case, many at a time; answers by case. */
export async function sendAll(port: number, cases: readonly { readonly bytes: Buffer }[]): Promise<Buffer[]> {
  const answers = new Array<Buffer>(cases.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < cases.length; at = next++) answers[at] = await send(port, cases[at]!.bytes);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  keepArtefact('downstream', Buffer.concat(answers));
  return answers;
}
