import { hash } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import { expect, test } from 'vitest';
import { readAuthentication } from './authentication.ts';
import { EMPTY_SHA256 } from './canonical.ts';
import { SigningKey } from './key.ts';
import { NodeSha256 } from '../testdata/node-sha256.ts';
import { presignTarget } from '../testdata/presign.ts';
import { signHead } from './sigv4.ts';
import { hmacVerifier, verifyInbound } from './verify.ts';

/** Random requests, signed here and by the signer of the AWS SDK. More by `DIFFERENTIAL_RUNS=20000`. */
const RUNS = Number(process.env['DIFFERENTIAL_RUNS'] ?? 500);
const LETTERS = [...'abZ019-._~%+=&?:@!\'()* $,;#"<>\\^|{}`'.split(''), 'é', 'ሴ', '😀'];
const FIELD_LETTERS = [...'aZ09 -;="/:'];

class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  of<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }
  word(lengthMax: number, letters: readonly string[] = LETTERS): string {
    return Array.from({ length: 1 + this.below(lengthMax) }, () => this.of(letters)).join('');
  }
}

const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

/** One request as the SDK takes it, and as it stands on the wire, in one of the many ways to write it. */
function request(random: Random) {
  const service = random.of(['s3', 'dynamodb', 'execute-api', 'lambda', 'sqs', 'bedrock']);
  let path = `/${Array.from({ length: random.below(5) }, () => encode(random.word(6))).join('/')}`;
  if (service !== 's3' && random.chance(30)) path = random.of(['/a/..', '/.', '/']) + path;
  if (random.chance(20)) path += '/';
  const query: Record<string, string | string[]> = {};
  for (let count = random.below(5); count > 0; count -= 1) {
    query[random.word(5)] = random.chance(20)
      ? [random.word(4), '', random.word(4)]
      : random.chance(20)
        ? ''
        : random.word(6);
  }
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    [value].flat().map((one) => spelled(random, name, one)),
  );
  const raw = pairs.sort(() => random.below(3) - 1).join('&');
  const headers: Record<string, string> = { host: random.of(['x.amazonaws.com', '127.0.0.1:8000']) };
  for (const name of ['content-type', 'content-md5', 'x-amz-target', 'X-Amz-Acl', 'x-amz-meta-a', 'x-amz-meta-b-c']) {
    if (random.chance(35)) headers[name] = `v${random.word(12, FIELD_LETTERS)}v`;
  }
  return {
    service,
    path,
    query,
    target: raw === '' ? path : `${path}?${raw}`,
    headers,
    method: random.of(['GET', 'PUT', 'POST']),
  };
}

function spelled(random: Random, name: string, value: string): string {
  let pair = value === '' && random.chance(50) ? encode(name) : `${encode(name)}=${encode(value)}`;
  if (random.chance(30)) pair = pair.replaceAll('%20', '+');
  return random.chance(20) ? pair.replace(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase()) : pair;
}

test('P15: signatures are those of the AWS SDK, by header and by query, and are verified here', async () => {
  for (let run = 0; run < RUNS; run += 1) {
    const random = new Random(run);
    const { service, path, query, target, headers, method } = request(random);
    const secret = random.word(40, ['a', 'B', '9', '/', '+']);
    const sessionToken = random.chance(30) ? random.word(60, ['a', 'B', '/', '+', '=']) : undefined;
    const time = new Date(
      Date.UTC(2000 + random.below(60), random.below(12), 1 + random.below(28), random.below(24), random.below(60)),
    );
    const body = random.chance(50) ? undefined : random.word(30);
    const payloadHash = hash('sha256', body ?? '', 'hex');
    const sdk = new SignatureV4({
      service,
      region: 'eu-west-1',
      credentials: {
        accessKeyId: 'AKID',
        secretAccessKey: secret,
        ...(sessionToken === undefined ? {} : { sessionToken }),
      },
      sha256: NodeSha256,
      uriEscapePath: service !== 's3',
    });
    const asked = { method, protocol: 'http:', hostname: 'h', path, query, headers, body };
    const theirs = await sdk.sign(structuredClone(asked), { signingDate: time });
    const signer = SigningKey.derive(Buffer.from(secret), {
      date: time.toISOString().slice(0, 10).replaceAll('-', ''),
      region: 'eu-west-1',
      service,
    });
    const by = { signer, accessKeyId: 'AKID', time, sessionToken };
    const ours = signHead({ method, target, headers: Object.entries(headers).flat() }, { ...by, payloadHash });
    expect(ours.head.headers.at(-1), `seed ${run}`).toBe(theirs.headers['authorization']);
    const inbound = readAuthentication(ours.head);
    expect(
      inbound.form === 'v4' && verifyInbound(ours.head, inbound, hmacVerifier(signer)).verified,
      `seed ${run}`,
    ).toBe(true);

    const bare = { method, target, headers: ['host', headers['host']!] };
    const expiresSeconds = 1 + random.below(604_800);
    const url = await sdk.presign(structuredClone({ ...asked, body: undefined, headers: { host: headers['host']! } }), {
      signingDate: time,
      expiresIn: expiresSeconds,
    });
    const mine = presignTarget(bare, { ...by, expiresSeconds, payloadHash: EMPTY_SHA256 });
    expect(mine.endsWith(`&X-Amz-Signature=${String(url.query?.['X-Amz-Signature'])}`), `seed ${run}`).toBe(true);
  }
});
