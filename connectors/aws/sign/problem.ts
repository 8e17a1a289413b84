export type SigningProblemCode =
  | 'malformed-escape'
  | 'malformed-field'
  | 'malformed-authorization'
  | 'malformed-scope'
  | 'malformed-date'
  | 'ambiguous-authorization'
  | 'unknown-algorithm'
  | 'unfit-key';

/**
 * A request that cannot be signed or whose signature cannot be read. The message is one of the fixed sentences of this
 * folder and quotes nothing of the request.
 */
export class SigningProblem extends Error {
  readonly code: SigningProblemCode;

  constructor(code: SigningProblemCode, message: string) {
    super(message);
    this.name = 'SigningProblem';
    this.code = code;
  }
}
