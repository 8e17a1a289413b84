import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { keepArtefact } from '../canary.ts';

export interface RawAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
}

const PAUSE_MS = 300;

/** One request with exactly these header lines; pieces of a body are sent with a pause between them. */
export async function askRaw(
  port: number,
  method: string,
  target: string,
  headers: readonly string[],
  body: string | Uint8Array | readonly Uint8Array[] = '',
): Promise<RawAnswer> {
  const asked = request({ host: '127.0.0.1', port, method, path: target, headers, agent: false, setHost: false });
  const answered = once(asked, 'response') as Promise<[IncomingMessage]>;
  // An answer may come before all is sent.
  asked.on('error', () => undefined);
  // Node sends a head together with a string in the encoding of the string.
  const pieces = Array.isArray(body) ? (body as readonly Uint8Array[]) : [Buffer.from(body as string)];
  for (const [at, piece] of pieces.entries()) {
    if (at > 0) await Promise.race([pause(PAUSE_MS), answered.catch(() => undefined)]);
    if (piece.length > 0) asked.write(piece);
  }
  asked.end();
  const [response] = await answered;
  const answer = { status: response.statusCode!, body: await text(response), headers: response.headers };
  keepArtefact('downstream', JSON.stringify(answer));
  return answer;
}
