import { createHash } from 'node:crypto';
import { isS3, sha256Hex } from './canonical-form.ts';
import { openChecksum, type Checksum } from './checksum.ts';
import { ChunkedReader } from './chunked-reader.ts';
import { AwsRefusal } from './refusal.ts';
import { onlyHeader, type ReceivedHead } from './received-head.ts';
import type { Signer } from './verify-head.ts';

/** What a body goes through on its way to the object. */
export interface BodyCheck {
  push(bytes: Buffer): void;
  /** Errors: 400 and 403 where the body is not what the head says. */
  end(): void;
  /** Of `aws-chunked`. */
  readonly chunks: number;
  readonly trailers: ReadonlyMap<string, string>;
}

const STREAMED = /^STREAMING-(UNSIGNED-PAYLOAD|AWS4-(HMAC-SHA256|ECDSA-P256-SHA256)-PAYLOAD)(-TRAILER)?$/;

/** `payload` is `x-amz-content-sha256` as it was signed; `write` gets the bytes of the object. */
export function openBodyCheck(
  head: ReceivedHead,
  signer: Signer | undefined,
  payload: string,
  write: (bytes: Buffer) => void,
): BodyCheck {
  const hashes = declaredChecksums(head);
  const take = (bytes: Buffer): void => {
    for (const { checksum } of hashes) checksum.update(bytes);
    write(bytes);
  };
  const check = payload.startsWith('STREAMING-')
    ? streamed(head, signer, payload, take)
    : whole(head, signer, payload, take);
  return {
    push: (bytes) => check.push(bytes),
    end() {
      check.end();
      for (const { name, value, checksum } of hashes)
        if ((value ?? check.trailers.get(name)) !== checksum.digest())
          throw new AwsRefusal(400, 'BadDigest', `The ${name} does not match the body.`);
    },
    get chunks() {
      return check.chunks;
    },
    trailers: check.trailers,
  };
}

function whole(
  head: ReceivedHead,
  signer: Signer | undefined,
  payload: string,
  take: (bytes: Buffer) => void,
): BodyCheck {
  // S3 answers 501 for a body whose length is not told.
  if (signer !== undefined && isS3(signer.claim.service) && onlyHeader(head, 'transfer-encoding') !== undefined)
    throw new AwsRefusal(501, 'NotImplemented', 'A header implies what is not implemented: Transfer-Encoding');
  if (/\baws-chunked\b/.test(onlyHeader(head, 'content-encoding') ?? ''))
    throw new AwsRefusal(400, 'InvalidRequest', `aws-chunked encoding is not supported when it is ${payload}`);
  const hash = payload === 'UNSIGNED-PAYLOAD' ? undefined : createHash('sha256');
  if (hash !== undefined && !/^[0-9a-f]{64}$/.test(payload))
    throw new AwsRefusal(
      400,
      'InvalidArgument',
      'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-… or a hash.',
    );
  return {
    push(bytes) {
      hash?.update(bytes);
      take(bytes);
    },
    end() {
      if (hash !== undefined && hash.digest('hex') !== payload)
        throw new AwsRefusal(400, 'XAmzContentSHA256Mismatch', 'The provided x-amz-content-sha256 does not match.');
    },
    chunks: 0,
    trailers: new Map(),
  };
}

function streamed(
  head: ReceivedHead,
  signer: Signer | undefined,
  payload: string,
  write: (bytes: Buffer) => void,
): BodyCheck {
  const [, kind = '', algorithm, trailer] = STREAMED.exec(payload) ?? [];
  const unsigned = kind === 'UNSIGNED-PAYLOAD';
  const known = unsigned ? trailer !== undefined : signer?.claim.algorithm === `AWS4-${algorithm}`;
  if (!known || signer === undefined) throw new AwsRefusal(501, 'NotImplemented', `${payload} is not known here.`);
  const length = onlyHeader(head, 'x-amz-decoded-content-length') ?? '';
  if (!/^\d{1,13}$/.test(length)) throw new AwsRefusal(411, 'MissingContentLength', 'x-amz-decoded-content-length');
  const trailerNames = (onlyHeader(head, 'x-amz-trailer') ?? '').toLowerCase().split(/ *, */).filter(Boolean);
  if ((trailer === undefined) !== (trailerNames.length === 0))
    throw new AwsRefusal(400, 'MalformedTrailerError', 'x-amz-trailer and x-amz-content-sha256 do not agree.');
  const reader = new ChunkedReader({
    ...(unsigned ? {} : { signer }),
    decodedBytes: Number(length),
    trailerNames,
    write,
  });
  return {
    push: (bytes) => reader.push(bytes),
    end: () => reader.end(),
    get chunks() {
      return reader.chunks;
    },
    trailers: reader.trailers,
  };
}

interface Declared {
  readonly name: string;
  /** Absent: it comes as a trailer. */
  readonly value: string | undefined;
  readonly checksum: Checksum;
}

/** Checksums of the head, and of the trailers that it announces. */
function declaredChecksums(head: ReceivedHead): Declared[] {
  const found: Declared[] = [];
  const add = (name: string, value: string | undefined): void => {
    const algorithm = name === 'content-md5' ? 'md5' : /^x-amz-checksum-([a-z0-9]+)$/.exec(name)?.[1];
    const checksum = algorithm === undefined ? undefined : openChecksum(algorithm);
    if (checksum !== undefined) found.push({ name, value, checksum });
  };
  // Of CompleteMultipartUpload it is that of the whole object, not of the body.
  const completes = head.method === 'POST' && /(^|&)uploadId=/.test(head.query);
  if (completes) return [];
  for (const [name, value] of head.lines) add(name, value);
  for (const name of (onlyHeader(head, 'x-amz-trailer') ?? '').toLowerCase().split(/ *, */)) add(name, undefined);
  return found;
}

export const EMPTY_SHA256 = sha256Hex('');
