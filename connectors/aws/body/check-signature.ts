import { timingSafeEqual } from 'node:crypto';
import { BodyProblem } from './body-problem.ts';

/** Errors: `signature-mismatch`. Both are hex; the time it takes does not tell where they differ. */
export function checkSignature(expected: string, found: string): void {
  const [mine, theirs] = [Buffer.from(expected, 'latin1'), Buffer.from(found, 'latin1')];
  if (mine.length !== theirs.length || !timingSafeEqual(mine, theirs))
    throw new BodyProblem('signature-mismatch', 'the signature of a part of the body is not that of its bytes');
}
