import type { Readable } from 'node:stream';
import type { AuthenticateContext, BodyNeed } from '../connector/connector.ts';
import { SidecarError } from '../error.ts';
import { whole } from './body.ts';
import type { Downstream } from './engine.ts';
import { HeldBody, hold, NOTHING_SHA256, refuseToHold } from './held-body.ts';

/** A request body in the form that its connector asked for; undefined where there is none. */
export type TakenBody = Readable | Uint8Array | HeldBody | undefined;

/** Refuses by Content-Length alone, before a byte is asked for. Errors: `body-too-large`. */
export function refuseBeforeReading(need: BodyNeed, contentLength: number | undefined): void {
  if (need === 'stream' || contentLength === undefined) return;
  if ('digest' in need) refuseToHold({ ...limitsOf(need), expectedBytes: contentLength });
  else if (contentLength > need.buffer) throw new SidecarError('body-too-large');
}

/** Errors: `body-too-large`, `internal` (no file can be written), those of the body. */
export async function takeBody(
  downstream: Downstream,
  need: Exclude<BodyNeed, 'stream'>,
  body: Readable | undefined,
): Promise<TakenBody> {
  if (body === undefined) return undefined;
  if ('buffer' in need) return whole(body, need.buffer);
  return hold(body, { ...limitsOf(need), expectedBytes: downstream.contentLength });
}

/** What policy is to read never goes to disk. */
function limitsOf({ digest, first }: Extract<BodyNeed, { digest: unknown }>) {
  return first === true ? { memory: digest.memory, disk: 0 } : digest;
}

/** Whether policy hears of the body before it decides. */
export function isTakenFirst(need: BodyNeed): boolean {
  return need !== 'stream' && 'digest' in need && need.first === true;
}

/** The bytes of a body that is held in memory; none where it is not. */
export function whatIsHeld(body: TakenBody): Uint8Array | undefined {
  if (body === undefined) return new Uint8Array();
  return body instanceof HeldBody ? body.whole() : undefined;
}

/** What a connector is told of the body. */
export function told(need: BodyNeed, body: TakenBody): Pick<AuthenticateContext, 'body' | 'bodySha256'> | undefined {
  if (body instanceof Uint8Array) return { body };
  if (need === 'stream' || !('digest' in need)) return undefined;
  return { bodySha256: body instanceof HeldBody ? body.sha256 : NOTHING_SHA256 };
}

/** Whether a body that was taken for one need serves another: that of a second try. */
export function serves(need: BodyNeed, body: TakenBody): boolean {
  if (body === undefined) return true;
  if (!canRepeat(body)) return false;
  if (need === 'stream') return true;
  return 'digest' in need ? body instanceof HeldBody : body instanceof Uint8Array && body.length <= need.buffer;
}

/** False for a body that passes once and is gone. */
export function canRepeat(body: TakenBody): body is Exclude<TakenBody, Readable> {
  return body === undefined || body instanceof Uint8Array || body instanceof HeldBody;
}

/** Bytes to announce; undefined: sent in chunks, or not at all. */
export function lengthOf(body: TakenBody, { hasBody, contentLength }: Downstream): number | undefined {
  if (!hasBody && contentLength !== 0) return undefined;
  if (body instanceof HeldBody) return body.bytes;
  return body instanceof Uint8Array ? body.length : contentLength;
}

/** The body from its first byte on. */
export function opened(body: TakenBody): Readable | Uint8Array | undefined {
  return body instanceof HeldBody ? body.open() : body;
}
