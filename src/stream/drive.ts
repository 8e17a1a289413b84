import type { Handover, Handshake, Step } from '../connector/handshake.ts';
import { asSidecarError } from '../error.ts';

/** Performs one step: the answer, or a promise of it. Throws, or rejects with, what the login is to hear. */
export type Perform = (step: Step) => unknown;

/**
 * Runs a login to its end. What a step throws is thrown into the login, which may answer it and go on; what the login
 * throws itself is thrown here.
 */
export async function drive(handshake: Handshake, perform: Perform): Promise<Handover> {
  let next = handshake.next();
  while (next.done !== true) {
    let answer: unknown;
    try {
      answer = perform(next.value);
      // Most reads find their bytes there already; awaiting those too would cost a login a turn for each frame.
      if (answer instanceof Promise) answer = await answer;
    } catch (thrown) {
      next = handshake.throw(asSidecarError(thrown));
      continue;
    }
    next = handshake.next(answer);
  }
  return next.value;
}
