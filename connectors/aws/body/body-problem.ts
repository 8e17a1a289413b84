export type BodyProblemCode =
  'malformed-framing' | 'malformed-trailer' | 'too-long' | 'truncated' | 'length-mismatch' | 'signature-mismatch';

/** A body that breaks its framing or its signatures. The message is a fixed sentence and quotes nothing of the body. */
export class BodyProblem extends Error {
  readonly code: BodyProblemCode;

  constructor(code: BodyProblemCode, message: string) {
    super(message);
    this.name = 'BodyProblem';
    this.code = code;
  }
}
