import { SignatureV4 } from '@smithy/signature-v4';
import { createHash, createHmac, type BinaryLike, type Hash, type Hmac } from 'node:crypto';
import { hrtime } from 'node:process';
import { readAuthentication } from '../../connectors/aws/sign/authentication.ts';
import { SigningKey, SigningKeys } from '../../connectors/aws/sign/key.ts';
import { signHead } from '../../connectors/aws/sign/sigv4.ts';
import { EcdsaKey } from '../../connectors/aws/sign/sigv4a.ts';
import { hmacVerifier, verifyInbound } from '../../connectors/aws/sign/verify.ts';

/** A process of its own that signs without a network, ours and the SDK's own signer by turns. */

export interface SignQuestion {
  readonly signatures: number;
  readonly rounds: number;
}

/** Microseconds of one signature in each round, by the name of the signer. */
export type SignAnswer = Readonly<Record<string, readonly number[]>>;

/** Rounds that only compile. */
const WARM_ROUNDS = 2;
/** Curve arithmetic and derivations take that many times longer. */
const SLOW = 10;

const SECRET = Buffer.from('a made-up key of forty characters, eh?..');
const KEY_ID = 'AKIDBENCH0000000000A';
const TIME = new Date('2026-01-02T03:04:05Z');
const SCOPE = { date: '20260102', region: 'eu-west-1', service: 'dynamodb' };
const HOST = 'dynamodb.eu-west-1.amazonaws.com';
const HASH = createHash('sha256').update('x'.repeat(300)).digest('hex');
/** As botocore sends it, with the signature that the sidecar takes out. */
const SENT = [
  ...['content-type', 'application/x-amz-json-1.0', 'x-amz-target', 'DynamoDB_20120810.GetItem'],
  ...['accept-encoding', 'identity', 'content-length', '300', 'x-amz-date', '20260102T030405Z'],
  ...['user-agent', 'Boto3/1.43.11 md/Botocore#1.43.11 ua/2.1 os/linux#6 md/arch#x86_64 lang/python#3.13'],
  ...['authorization', `AWS4-HMAC-SHA256 Credential=X/20260102/eu-west-1/dynamodb/aws4_request, Signature=${HASH}`],
];
const TABLE_HEAD = { method: 'POST', target: '/', headers: ['host', HOST, ...SENT] };
const OBJECT_HEAD = {
  method: 'GET',
  target: '/bucket/some%20dir/key-with-name.txt?list-type=2&prefix=a%2Fb&max-keys=1000',
  headers: ['host', 's3.eu-west-1.amazonaws.com', ...SENT],
};

interface Signing {
  readonly name: string;
  readonly each: () => unknown;
  readonly slow?: true;
}

function signings(): Signing[] {
  const keys = new SigningKeys();
  const lend = <Result>(use: (secret: Uint8Array) => Result): Result => use(SECRET);
  const common = { accessKeyId: KEY_ID, time: TIME, payloadHash: HASH };
  const table = () => signHead(TABLE_HEAD, { signer: keys.key('1', SCOPE, lend), ...common });
  const objects = { ...SCOPE, service: 's3' };
  const signed = table().head;
  const verifier = hmacVerifier(SigningKey.derive(SECRET, SCOPE));
  const ecdsa = EcdsaKey.derive(SECRET, KEY_ID).bind(SCOPE);
  return [
    { name: 'ours, DynamoDB', each: table },
    { name: '@smithy/signature-v4, DynamoDB', each: theirs() },
    { name: 'ours, S3', each: () => signHead(OBJECT_HEAD, { signer: keys.key('1', objects, lend), ...common }) },
    {
      name: 'ours, SigV4a',
      each: () => signHead(TABLE_HEAD, { signer: ecdsa, ...common, regionSet: '*' }),
      slow: true,
    },
    {
      name: 'verification of the agent’s signature',
      each: () => {
        const authentication = readAuthentication(signed);
        if (authentication.form !== 'v4' || !verifyInbound(signed, authentication, verifier).verified)
          throw new Error('the signature does not verify');
      },
    },
    { name: 'derivation of a key', each: () => SigningKey.derive(SECRET, SCOPE).wipe(), slow: true },
  ];
}

/** As an SDK sets it up: hashes by node:crypto, the hash of the body known. */
function theirs(): () => Promise<unknown> {
  const credentials = { accessKeyId: KEY_ID, secretAccessKey: SECRET.toString() };
  const signer = new SignatureV4({ service: 'dynamodb', region: 'eu-west-1', credentials, sha256: NodeSha256 });
  const [type, target] = [SENT[1]!, SENT[3]!];
  return () =>
    signer.sign(
      {
        ...{ method: 'POST', protocol: 'https:', hostname: HOST, path: '/', query: {} },
        headers: { host: HOST, 'content-type': type, 'x-amz-target': target, 'x-amz-content-sha256': HASH },
      },
      { signingDate: TIME },
    );
}

/** The interface that the SDK's signer asks for. */
class NodeSha256 {
  readonly #secret: unknown;
  #hash: Hash | Hmac;

  constructor(secret?: unknown) {
    this.#secret = secret;
    this.#hash = this.#open();
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  async digest(): Promise<Uint8Array> {
    return new Uint8Array(this.#hash.digest());
  }

  reset(): void {
    this.#hash = this.#open();
  }

  #open(): Hash | Hmac {
    return this.#secret === undefined ? createHash('sha256') : createHmac('sha256', this.#secret as BinaryLike);
  }
}

async function measure({ signatures, rounds }: SignQuestion): Promise<SignAnswer> {
  const all = signings();
  const micros: Record<string, number[]> = Object.fromEntries(all.map(({ name }) => [name, []]));
  for (let round = -WARM_ROUNDS; round < rounds; round += 1) {
    for (const { name, each, slow } of all) {
      const count = Math.ceil(slow === true ? signatures / SLOW : signatures);
      const begun = hrtime.bigint();
      for (let at = 0; at < count; at += 1) {
        const result = each();
        // Awaited only where it is a promise: a turn of the queue for each would be on ours as well.
        if (result instanceof Promise) await result;
      }
      if (round >= 0) micros[name]!.push(Number(hrtime.bigint() - begun) / 1000 / count);
    }
  }
  return micros;
}

process.on('message', (question: SignQuestion) => {
  measure(question).then(
    (answer) => process.send!(answer),
    (error: unknown) => process.send!({ failed: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send!({ ready: true });
