import { SidecarError } from 'secretless-sidecar/connector';
import { SigningProblem } from './sign/problem.ts';

/** Runs what reads a request; what it cannot read is told as `signature-malformed`. */
export function readable<Result>(read: () => Result): Result {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof SigningProblem)) throw thrown;
    throw new SidecarError('signature-malformed', { detail: `${thrown.code}: ${thrown.message}` });
  }
}
