import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A Security Token Service for tests: verifies each signature from the specification (IAM User Guide, "Create a signed
 * AWS API request") with code of its own, holds requests to the limits of the API reference, and hands out sessions.
 */

export interface StsCall {
  readonly action: string;
  readonly parameters: Readonly<Record<string, string>>;
  /** Access key that signed; undefined where nobody did. */
  readonly signedBy: string | undefined;
  readonly region: string | undefined;
}

export interface IssuedKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

export interface StsServerOptions {
  /** Secret of each access key that may call. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Session token that goes with an access key, where it has one. */
  readonly sessionTokens?: Readonly<Record<string, string>>;
  /** Keys of the n-th session, from 1. */
  readonly issue: (n: number) => IssuedKeys;
  /** What the sessions end by; default the system's clock. */
  readonly now?: () => Date;
  /** Whether a role may be assumed; default any. */
  readonly isOpen?: (role: string) => boolean;
  readonly isToken?: (webIdentityToken: string) => boolean;
}

interface Refusal {
  readonly status: number;
  readonly code: string;
}

export class StsServer {
  readonly calls: StsCall[] = [];
  /** Refuses every call with this, while it is set. */
  refusal: Refusal | undefined;
  /** Waited for before each answer. */
  hold: Promise<void> | undefined;
  readonly #options: StsServerOptions;
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  #issued = 0;

  constructor(options: StsServerOptions) {
    this.#options = options;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const parameters = Object.fromEntries(new URLSearchParams(body));
    const action = parameters['Action'] ?? '';
    const signature = verify(request, body, this.#options);
    this.calls.push({ action, parameters, signedBy: signature.accessKeyId, region: signature.region });
    await this.hold;
    const refusal = this.refusal ?? this.#judge(action, parameters, signature.problem);
    if (refusal !== undefined) return sendError(response, refusal);
    const seconds = Number(parameters['DurationSeconds'] ?? 3600);
    const keys = this.#options.issue((this.#issued += 1));
    const end = new Date(+(this.#options.now?.() ?? new Date()) + seconds * 1000);
    send(response, 200, sessionXml(action, keys, end));
  }

  #judge(action: string, parameters: Readonly<Record<string, string>>, problem: string | undefined) {
    const { RoleArn = '', RoleSessionName = '', Policy = '{}', WebIdentityToken } = parameters;
    if (action === 'AssumeRole') {
      if (problem !== undefined) return { status: 403, code: problem };
    } else if (action !== 'AssumeRoleWithWebIdentity') return { status: 400, code: 'InvalidAction' };
    else if (this.#options.isToken?.(WebIdentityToken ?? '') !== true)
      return { status: 400, code: 'InvalidIdentityToken' };
    if (!/^arn:aws:iam::\d{12}:role\/\S+$/.test(RoleArn)) return { status: 400, code: 'ValidationError' };
    if (this.#options.isOpen?.(RoleArn) === false) return { status: 403, code: 'AccessDenied' };
    if (!/^[\w+=,.@-]{2,64}$/.test(RoleSessionName)) return { status: 400, code: 'ValidationError' };
    const seconds = Number(parameters['DurationSeconds'] ?? 3600);
    if (!(seconds >= 900 && seconds <= 43_200)) return { status: 400, code: 'ValidationError' };
    if (Policy.length > 2048 || !isJson(Policy)) return { status: 400, code: 'MalformedPolicyDocument' };
    return undefined;
  }
}

interface Verified {
  readonly accessKeyId?: string;
  readonly region?: string;
  /** Error code of what is wrong with the signature. */
  readonly problem?: string;
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;
const SKEW_MILLISECONDS_MAX = 15 * 60 * 1000;

function verify(request: IncomingMessage, body: string, options: StsServerOptions): Verified {
  const header = request.headers.authorization;
  if (header === undefined) return { problem: 'MissingAuthenticationToken' };
  const parts = AUTHORIZATION.exec(header);
  if (parts === null) return { problem: 'IncompleteSignature' };
  const [, accessKeyId = '', date = '', region = '', service = '', signedHeaders = '', signature = ''] = parts;
  const caller = { accessKeyId, region };
  const secret = options.secrets[accessKeyId];
  const field = (name: string) => String(request.headers[name] ?? '');
  if (secret === undefined) return { ...caller, problem: 'InvalidClientTokenId' };
  if (field('x-amz-security-token') !== (options.sessionTokens?.[accessKeyId] ?? '')) {
    return { ...caller, problem: 'InvalidClientTokenId' };
  }
  const names = signedHeaders.split(';');
  const required = ['host', ...Object.keys(request.headers).filter((name) => name.startsWith('x-amz-'))];
  if (!required.every((name) => names.includes(name)) || service !== 'sts') {
    return { ...caller, problem: 'SignatureDoesNotMatch' };
  }
  const timestamp = field('x-amz-date');
  const at = timeOf(timestamp);
  if (!timestamp.startsWith(date) || !(Math.abs(Date.now() - at) < SKEW_MILLISECONDS_MAX)) {
    return { ...caller, problem: 'SignatureDoesNotMatch' };
  }
  const [path = '/', query = ''] = (request.url ?? '/').split('?');
  const canonical = [
    request.method,
    path,
    query.split('&').sort().join('&'),
    ...names.map((name) => `${name}:${field(name).trim().replace(/ +/g, ' ')}`),
    '',
    signedHeaders,
    sha256(body),
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', timestamp, `${date}/${region}/sts/aws4_request`, sha256(canonical)].join('\n');
  const key = [date, region, 'sts', 'aws4_request'].reduce(
    (last: string | Buffer, part) => hmac(last, part),
    `AWS4${secret}`,
  );
  const matches = timingSafeEqual(hmac(key, toSign), Buffer.from(signature, 'hex'));
  return matches ? caller : { ...caller, problem: 'SignatureDoesNotMatch' };
}

/** Milliseconds of `20300101T000000Z`; NaN for anything else. */
function timeOf(timestamp: string): number {
  return Date.parse(timestamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
}

function sha256(content: string): string {
  return createHash('sha256').update(content).digest('hex');
}

function hmac(key: string | Buffer, content: string): Buffer {
  return createHmac('sha256', key).update(content).digest();
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/';

function sessionXml(action: string, keys: IssuedKeys, end: Date): string {
  return `<${action}Response xmlns="${NAMESPACE}"><${action}Result><Credentials>
<AccessKeyId>${keys.accessKeyId}</AccessKeyId><SecretAccessKey>${keys.secretAccessKey}</SecretAccessKey>
<SessionToken>${keys.sessionToken}</SessionToken><Expiration>${end.toISOString()}</Expiration>
</Credentials></${action}Result><ResponseMetadata><RequestId>test</RequestId></ResponseMetadata></${action}Response>`;
}

function sendError(response: ServerResponse, { status, code }: Refusal): void {
  const type = status < 500 ? 'Sender' : 'Receiver';
  const error = `<Error><Type>${type}</Type><Code>${code}</Code><Message>refused</Message></Error>`;
  send(response, status, `<ErrorResponse xmlns="${NAMESPACE}">${error}<RequestId>test</RequestId></ErrorResponse>`);
}

function send(response: ServerResponse, status: number, xml: string): void {
  const bytes = Buffer.byteLength(xml);
  response.writeHead(status, { 'content-type': 'text/xml', 'content-length': bytes, 'x-amzn-requestid': 'test' });
  response.end(xml);
}
