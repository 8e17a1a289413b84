import { randomBytes } from 'node:crypto';
import { CreateBucketCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { canary } from './canary.ts';
import { CephMissing } from './aws/ceph-packages.ts';
import { DUMMY, type Door } from './aws/door.ts';
import { JsPlace, S3_CASES, TRAILER_CASES } from './aws/js-cases.ts';
import { putChunked } from './aws/raw-client.ts';
import { startRgw, type RunningRgw } from './aws/rgw.ts';
import { useSidecar } from './aws/sidecar.ts';
import { allDone, BOTO_S3, BOTO_SECOND_VERSION, runBoto } from './aws/tools/boto.ts';
import { pythonsWithBoto, ToolPlace } from './aws/tools/place.ts';
import { PROGRAMS } from './aws/tools/programs.ts';

/** The gateway of Ceph verifies signatures with code that has nothing to do with ours. */

const REGION = 'us-east-1';
let rgw: RunningRgw | undefined;
let missing: string | undefined;

beforeAll(async () => {
  try {
    rgw = await startRgw();
  } catch (error) {
    if (!(error instanceof CephMissing)) throw error;
    missing = error.message;
  }
}, 240_000);
afterAll(() => rgw?.stop());
beforeEach(({ skip }) => skip(missing !== undefined, missing));

const sidecar = useSidecar(() => {
  const target = rgw?.url ?? 'http://127.0.0.1:9';
  const credentials = rgw?.credentials ?? { accessKeyId: 'NONE', secretAccessKey: canary() };
  const wrong = { accessKeyId: credentials.accessKeyId, secretAccessKey: canary() };
  const config = { service: 's3', region: REGION, agents: { local: DUMMY }, trailers: 'strip' };
  return {
    store: { target, credentials, config },
    unsigned: { target, credentials, config: { ...config, chunked: 'unsigned' } },
    wrong: { target, credentials: wrong, config },
  };
});

function doorTo(url: string, credentials: Door['credentials'], bucket: string): Door {
  return {
    endpoints: { s3: url, dynamodb: url, sqs: url, sts: url },
    region: REGION,
    credentials,
    bucket,
    trailers: false,
  };
}
const direct = (): Door => doorTo(rgw!.url, rgw!.credentials, 'direct-side');
const through = (service = 'store'): Door => doorTo(sidecar().url(service), DUMMY, 'sidecar-side');

beforeAll(async () => {
  if (rgw === undefined) return;
  for (const door of [direct(), through()]) {
    const place = new JsPlace(door);
    await place.s3.send(new CreateBucketCommand({ Bucket: door.bucket }));
    place.close();
  }
});

async function withJs(door: Door, run: (place: JsPlace) => Promise<void>): Promise<void> {
  const place = new JsPlace(door);
  try {
    await run(place);
  } finally {
    place.close();
  }
}

describe('the AWS SDK for JavaScript', () => {
  test.each(S3_CASES)('%s: direct, with the real key', (_, run) => withJs(direct(), run));
  test.each([...S3_CASES, ...TRAILER_CASES])('%s: through the sidecar, with a key that opens nothing', (_, run) =>
    withJs(through(), run),
  );
});

describe.each(PROGRAMS)('$name through the sidecar', ({ missing: absent, steps, presignsV2 }) => {
  let place: ToolPlace | undefined;
  afterAll(() => place?.close());
  describe.skipIf(absent !== undefined)(absent ?? 'does', () => {
    const all = presignsV2 === undefined ? steps : { ...steps, 'presign in version 2': presignsV2 };
    test.each(Object.entries(all))('%s', (_, run) => run((place ??= new ToolPlace(through()))));
  });
});

describe('boto3', () => {
  const steps = [...BOTO_S3, BOTO_SECOND_VERSION];
  const sides = [
    ['direct', direct],
    ['through the sidecar', through],
  ] as const;
  describe.each(sides)('%s', (_, door) => {
    test.each([...pythonsWithBoto()])('of version %s does everything', async (_version, python) => {
      const place = new ToolPlace(door());
      expect(await runBoto(place, python, steps)).toEqual(allDone(steps));
      place.close();
    });
  });
});

describe('bodies signed chunk by chunk', () => {
  test.each(['store', 'unsigned'])('are whole in the store, through the service %s', async (service) => {
    const door = through(service);
    await withJs(door, async (place) => {
      // Of 16.2 the gateway takes no empty body in chunks, whoever sends it.
      for (const bytes of [1, 8191, 65_536, 65_537, 300_000]) {
        const body = randomBytes(bytes);
        const key = `chunked-${service}-${bytes}`;
        expect(await putChunked(door, { key, body, chunkBytes: 8192 })).toMatchObject({ status: 200 });
        expect((await place.read(key)).equals(body)).toBe(true);
      }
    });
  });

  /** Changes one digit of the signature that stands at this place among all of the body. */
  const flip = (nth: number) => (framed: Buffer) => {
    const all = [...framed.toString('latin1').matchAll(/chunk-signature=/g)];
    const at = all.at(nth)!.index + 20;
    framed[at] = framed[at] === 48 ? 49 : 48;
    return framed;
  };
  const wrongDigits = [
    ['the first chunk, direct', direct, 0],
    ['the first chunk, through the sidecar', through, 0],
    // The gateway itself does not look at the last one.
    ['the end, through the sidecar', through, -1],
    ['the first chunk, through the sidecar that sends it unsigned', () => through('unsigned'), 0],
  ] as const;

  test.each(wrongDigits)('are refused for one wrong digit: %s', async (_, door, nth) => {
    const body = randomBytes(100_000);
    const put = putChunked(door(), { key: 'spoilt', body, chunkBytes: 65_536, spoil: flip(nth) });
    expect((await put.catch(() => ({ status: 'cut' }))).status).not.toBe(200);
    await withJs(door(), (place) => expect(place.read('spoilt')).rejects.toMatchObject({ name: 'NoSuchKey' }));
  });
});

test('another secret than the real one is refused by the gateway', () =>
  withJs(through('wrong'), async (place) => {
    await expect(place.put('never', 'x')).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' });
  }));
