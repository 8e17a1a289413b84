import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { EMPTY_SHA256, openBodyCheck } from './body-check.ts';
import { queryOf, header, type Call } from './call.ts';
import { isS3, sha256Hex } from './canonical-form.ts';
import { refusalAnswer, type Answer, type Shape } from './dialect.ts';
import type { ObjectStore, ContentWriter } from './object-store.ts';
import { readHead, type ReceivedHead } from './received-head.ts';
import { AwsRefusal } from './refusal.ts';
import { checkSignature, declaredPayload, identifySigner, type Account, type Signer } from './verify-head.ts';

/** What the server saw of one request, and what it made of it. */
export interface Recorded {
  readonly head: ReceivedHead;
  shape: Shape;
  /** Absent: not signed, or not by anybody who is known. */
  signer: Signer | undefined;
  /** `x-amz-content-sha256` as signed; absent where the body had to be hashed for it. */
  payload: string | undefined;
  /** Of the body as it came, without the framing of HTTP. */
  wireBytes: number;
  /** Beginning of the body as it came. */
  beginning: Buffer;
  chunks: number;
  trailers: ReadonlyMap<string, string>;
  /** Absent while it is under way, and where it was cut. */
  status: number | undefined;
  /** Of the refusal. */
  code: string | undefined;
}

export interface Desk {
  readonly accounts: readonly Account[];
  readonly store: ObjectStore;
  /** Signing names that are served. */
  readonly services: ReadonlySet<string>;
  readonly region: string;
  /** Requests without a signature are answered. */
  readonly anonymous: boolean;
  now(): Date;
  answer(shape: Shape, call: Call): Answer;
}

const BEGINNING_BYTES = 64 * 1024;
/** Signing names whose requests have a shape; by the others nothing is recognised. */
const MESSAGE_SERVICES: Readonly<Record<Shape, readonly string[] | undefined>> = {
  s3: undefined,
  json: ['dynamodb', 'sqs'],
  query: ['sts', 'sqs'],
  rest: undefined,
};
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

export function shapeOf(head: ReceivedHead): Shape {
  if (header(head, 'x-amz-target') !== undefined) return 'json';
  const form = header(head, 'content-type')?.startsWith('application/x-www-form-urlencoded') === true;
  return (form && head.method === 'POST') || /(^|&)Action=/.test(head.query) ? 'query' : 's3';
}

export function beginRecord(request: IncomingMessage): Recorded {
  const head = readHead(request);
  return {
    head,
    shape: shapeOf(head),
    signer: undefined,
    payload: undefined,
    wireBytes: 0,
    beginning: Buffer.alloc(0),
    chunks: 0,
    trailers: new Map(),
    status: undefined,
    code: undefined,
  };
}

/** Checks one request from head to end, and answers it. */
export async function attend(
  desk: Desk,
  record: Recorded,
  request: IncomingMessage,
  response: ServerResponse,
  expectsContinue: boolean,
): Promise<void> {
  let answer: Answer;
  try {
    const call = await receive(desk, record, request, () => {
      if (expectsContinue) response.writeContinue();
    });
    answer = desk.answer(record.shape, call);
  } catch (error) {
    if (!(error instanceof AwsRefusal)) throw error;
    record.code = error.code;
    answer = refusalAnswer(record.shape, error, randomUUID());
    // What is still under way belongs to nobody.
    if (!request.complete) response.setHeader('connection', 'close');
    request.resume();
  }
  record.status = answer.status;
  await write(response, answer, record.head.method === 'HEAD');
}

async function receive(desk: Desk, record: Recorded, request: IncomingMessage, takeBody: () => void): Promise<Call> {
  const { head } = record;
  const signer = identifySigner(head, desk.accounts, desk.now());
  record.signer = signer;
  if (signer === undefined && !desk.anonymous)
    throw new AwsRefusal(403, record.shape === 's3' ? 'AccessDenied' : 'MissingAuthenticationToken', 'Not signed.');
  if (signer !== undefined) {
    if (record.shape === 's3' && !isS3(signer.claim.service)) record.shape = 'rest';
    checkScope(desk, record.shape, signer);
  }
  const declared = signer === undefined ? 'UNSIGNED-PAYLOAD' : declaredPayload(signer);
  record.payload = declared;
  if (signer !== undefined && declared !== undefined) checkSignature(head, signer, declared);
  takeBody();
  const writer = declared === undefined || record.shape !== 's3' ? messageWriter() : bodyWriter(desk, head);
  const check = openBodyCheck(head, signer, declared ?? 'UNSIGNED-PAYLOAD', (bytes) => writer.write(bytes));
  await drain(record, request, (bytes) => check.push(bytes));
  check.end();
  record.chunks = check.chunks;
  record.trailers = check.trailers;
  const content = writer.finish();
  if (signer !== undefined && declared === undefined)
    checkSignature(head, signer, content.bytes === 0 ? EMPTY_SHA256 : sha256Hex(content.body!));
  return { head, query: queryOf(head), signer, content, trailers: check.trailers };
}

function checkScope(desk: Desk, shape: Shape, { claim }: Signer): void {
  const messages = MESSAGE_SERVICES[shape];
  const fits = desk.services.has(claim.service) && (messages === undefined || messages.includes(claim.service));
  if (!fits) throw new AwsRefusal(403, 'InvalidSignatureException', 'Credential should be scoped to correct service.');
  if (claim.region !== undefined && claim.region !== desk.region)
    throw new AwsRefusal(400, 'AuthorizationHeaderMalformed', `the region is wrong; expecting '${desk.region}'`);
}

function messageWriter(): ContentWriter {
  const kept: Buffer[] = [];
  let bytes = 0;
  return {
    write(piece) {
      bytes += piece.length;
      if (bytes > MESSAGE_BYTES_MAX) throw new AwsRefusal(413, 'RequestEntityTooLarge', 'The message is too long.');
      kept.push(piece);
    },
    finish: () => ({ bytes, body: Buffer.concat(kept), etag: '' }),
  };
}

/** Messages to S3 (POST) are kept even where objects are not. */
function bodyWriter({ store }: Desk, { method }: ReceivedHead): ContentWriter {
  return method === 'POST' ? messageWriter() : store.writer();
}

/** Errors: what `push` throws; never settles for a body that was cut. */
function drain(record: Recorded, request: IncomingMessage, push: (bytes: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const take = (bytes: Buffer): void => {
      record.wireBytes += bytes.length;
      if (record.beginning.length < BEGINNING_BYTES)
        record.beginning = Buffer.concat([record.beginning, bytes.subarray(0, BEGINNING_BYTES)]);
      try {
        push(bytes);
      } catch (error) {
        request.off('data', take);
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    };
    request.on('data', take);
    request.on('end', resolve);
  });
}

const ZEROS = Buffer.alloc(256 * 1024);

async function write(response: ServerResponse, answer: Answer, headOnly: boolean): Promise<void> {
  const length = answer.zeros ?? Buffer.byteLength(answer.body ?? '');
  const bodiless = answer.status === 204 || answer.status === 304;
  const headers = {
    'x-amz-request-id': randomUUID(),
    ...(bodiless ? {} : { 'content-length': length }),
    ...answer.headers,
  };
  response.writeHead(answer.status, headers);
  if (headOnly || answer.zeros === undefined) return void response.end(headOnly ? undefined : answer.body);
  for (let left = answer.zeros; left > 0 && !response.destroyed; left -= ZEROS.length) {
    const room = response.write(ZEROS.subarray(0, Math.min(left, ZEROS.length)));
    if (!room) await drained(response);
  }
  response.end();
}

/** Resolves when the response takes more, or nothing any more. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}
