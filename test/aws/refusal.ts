/** A request that the server does not take, in the words of AWS. */
export class AwsRefusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export function malformed(message: string): AwsRefusal {
  return new AwsRefusal(400, 'AuthorizationHeaderMalformed', message);
}

/** The one answer to any signature that does not fit. */
export function mismatch(where: string): AwsRefusal {
  return new AwsRefusal(
    403,
    'SignatureDoesNotMatch',
    `The signature that was calculated does not match the one provided: ${where}.`,
  );
}
