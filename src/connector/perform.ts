import { SidecarError } from '../error.ts';
import type { Handover, Handshake, Step } from './handshake.ts';

export type StepOf<Do extends Step['do']> = Extract<Step, { readonly do: Do }>;

/** Answers each kind of step, at once or as a promise. A `SidecarError` that it throws is thrown into the login. */
export type Performer = { readonly [Do in Step['do']]: (step: StepOf<Do>) => unknown };

/** Steps of one login at most: far more than any login needs, and soon over in a test. */
export const STEPS_MAX = 200_000;

/** A login that goes on where it should have given up. */
export class EndlessLogin extends Error {
  override readonly name = 'EndlessLogin';
}

/**
 * Runs a login on a performer. Waits for nothing unless the performer does, so that a million short logins are cheap.
 *
 * Throws what the login lets through; whatever the performer throws that is no `SidecarError`; and `EndlessLogin`
 * where the login has not ended after `stepsMax` steps.
 */
export async function perform(
  handshake: Handshake,
  performer: Performer,
  stepsMax: number = STEPS_MAX,
): Promise<Handover> {
  let next = handshake.next();
  for (let steps = 0; next.done !== true; steps += 1) {
    if (steps === stepsMax)
      throw abandoned(handshake, new EndlessLogin(`the login has not ended after ${stepsMax} steps`));
    let answer: unknown;
    try {
      answer = answerOf(performer, next.value);
      if (answer instanceof Promise) answer = await answer;
    } catch (thrown) {
      if (!(thrown instanceof SidecarError)) throw abandoned(handshake, thrown);
      next = handshake.throw(thrown);
      continue;
    }
    next = handshake.next(answer);
  }
  return next.value;
}

/** Answers a step of any kind. */
export function answerOf(performer: Performer, step: Step): unknown {
  return (performer[step.do] as (step: Step) => unknown)(step);
}

/** Lets the login clean up after itself, and gives back what ended it. */
function abandoned(handshake: Handshake, thrown: unknown): unknown {
  handshake.return({ then: 'close' });
  return thrown;
}
