import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import {
  CopyObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  PutObjectCommand,
  S3Client,
  type ChecksumAlgorithm,
} from '@aws-sdk/client-s3';
import { ReceiveMessageCommand, CreateQueueCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { expect } from 'vitest';
import { HARD_KEYS, type Door } from './door.ts';

/** What the AWS SDK for JavaScript is put through. */
export type JsCase = readonly [name: string, run: (place: JsPlace) => Promise<void>];

export class JsPlace {
  readonly door: Door;
  readonly s3: S3Client;
  readonly Bucket: string;

  constructor(door: Door) {
    this.door = door;
    this.s3 = new S3Client({ ...this.options('s3'), forcePathStyle: true });
    this.Bucket = door.bucket;
  }

  options(kind: keyof Door['endpoints']): {
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: Door['credentials'];
    readonly maxAttempts: number;
  } {
    const { endpoints, region, credentials } = this.door;
    return { endpoint: endpoints[kind], region, credentials, maxAttempts: 1 };
  }

  async put(Key: string, Body: string | Uint8Array): Promise<void> {
    await this.s3.send(new PutObjectCommand({ Bucket: this.Bucket, Key, Body }));
  }

  async read(Key: string): Promise<Buffer> {
    const { Body } = await this.s3.send(new GetObjectCommand({ Bucket: this.Bucket, Key }));
    return Buffer.from(await Body!.transformToByteArray());
  }

  close(): void {
    this.s3.destroy();
  }
}

const BYTES = randomBytes(300_000);

/** Everything of S3 that needs no more of a store than it must have. */
export const S3_CASES: readonly JsCase[] = [
  [
    'put and get a buffer, with what is told about it',
    async ({ s3, Bucket }) => {
      const Metadata = { origin: 'a test', accents: 'plain' };
      await s3.send(
        new PutObjectCommand({ Bucket, Key: 'buffer', Body: BYTES, ContentType: 'image/x-test', Metadata }),
      );
      const got = await s3.send(new GetObjectCommand({ Bucket, Key: 'buffer' }));
      expect(Buffer.from(await got.Body!.transformToByteArray()).equals(BYTES)).toBe(true);
      expect(got).toMatchObject({ ContentType: 'image/x-test', Metadata });
    },
  ],
  [
    'put and get nothing',
    async (place) => {
      await place.put('empty', '');
      expect(await place.read('empty')).toHaveLength(0);
    },
  ],
  [
    'get a range, and the head alone',
    async ({ s3, Bucket, ...place }) => {
      await s3.send(new PutObjectCommand({ Bucket, Key: 'ranged', Body: BYTES }));
      const part = await s3.send(new GetObjectCommand({ Bucket, Key: 'ranged', Range: 'bytes=1000-1999' }));
      expect(Buffer.from(await part.Body!.transformToByteArray()).equals(BYTES.subarray(1000, 2000))).toBe(true);
      expect(await s3.send(new HeadObjectCommand({ Bucket, Key: 'ranged' }))).toMatchObject({ ContentLength: 300_000 });
      const missing = s3.send(new HeadObjectCommand({ Bucket, Key: 'missing' }));
      await expect(missing, place.door.region).rejects.toMatchObject({ $metadata: { httpStatusCode: 404 } });
    },
  ],
  ...HARD_KEYS.map((key): JsCase => [
    `put, get and find ${JSON.stringify(key)}`,
    async (place) => {
      await place.put(key, `content of ${key}`);
      expect((await place.read(key)).toString()).toBe(`content of ${key}`);
      const { Contents } = await place.s3.send(new ListObjectsV2Command({ Bucket: place.Bucket, Prefix: key }));
      expect(Contents?.map(({ Key }) => Key)).toContain(key);
    },
  ]),
  [
    'list in pages, by delimiter, in both versions',
    async (place) => {
      const { s3, Bucket } = place;
      for (const name of ['p/1', 'p/2', 'p/sub/3', 'p/a+b c', 'p/é']) await place.put(name, name);
      const keys: string[] = [];
      for await (const page of paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket, Prefix: 'p/' }))
        for (const { Key } of page.Contents ?? []) keys.push(Key!);
      expect(keys).toEqual(['p/1', 'p/2', 'p/a+b c', 'p/sub/3', 'p/é']);
      const old = await s3.send(new ListObjectsCommand({ Bucket, Prefix: 'p/', Delimiter: '/', Marker: 'p/1' }));
      expect(old.Contents?.map(({ Key }) => Key)).toEqual(['p/2', 'p/a+b c', 'p/é']);
      expect(old.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(['p/sub/']);
    },
  ],
  [
    'copy, also from a hard name, then delete many at once',
    async (place) => {
      const { s3, Bucket } = place;
      const Key = HARD_KEYS[0];
      await place.put(Key, 'to copy');
      const CopySource = `${Bucket}/${Key.split('/').map(encodeURIComponent).join('/')}`;
      await s3.send(new CopyObjectCommand({ Bucket, Key: 'the copy', CopySource }));
      expect((await place.read('the copy')).toString()).toBe('to copy');
      await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'the copy' }, { Key }] } }));
      await expect(place.read('the copy')).rejects.toMatchObject({ name: 'NoSuchKey' });
    },
  ],
  [
    'presign GET and PUT',
    async ({ s3, Bucket }) => {
      const Key = 'presigned (1).txt';
      const put = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key }), { expiresIn: 60 });
      expect((await fetch(put, { method: 'PUT', body: 'by url' })).status).toBe(200);
      const get = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key }), { expiresIn: 60 });
      expect(await (await fetch(get)).text()).toBe('by url');
    },
  ],
  [
    'upload in parts',
    async (place) => {
      const { s3, Bucket } = place;
      const Body = randomBytes(11 * 1024 * 1024);
      await new Upload({ client: s3, params: { Bucket, Key: 'parts', Body }, partSize: 5 * 1024 * 1024 }).done();
      expect((await place.read('parts')).equals(Body)).toBe(true);
    },
  ],
];

const CHECKSUMS: readonly ChecksumAlgorithm[] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'];

/** Bodies whose checksum comes behind them. */
export const TRAILER_CASES: readonly JsCase[] = [
  ...CHECKSUMS.map((ChecksumAlgorithm): JsCase => [
    `put a stream with ${ChecksumAlgorithm} behind it`,
    async (place) => {
      const { s3, Bucket } = place;
      const Body = Readable.from([BYTES.subarray(0, 100_000), BYTES.subarray(100_000)]);
      const asked = { Bucket, Key: `stream ${ChecksumAlgorithm}`, Body, ContentLength: BYTES.length };
      await s3.send(new PutObjectCommand({ ...asked, ChecksumAlgorithm }));
      expect((await place.read(asked.Key)).equals(BYTES)).toBe(true);
    },
  ]),
  [
    'upload a stream of unknown length in parts',
    async (place) => {
      const { s3, Bucket } = place;
      const pieces = Array.from({ length: 8 }, () => randomBytes(1024 * 1024));
      const params = { Bucket, Key: 'stream in parts', Body: Readable.from(pieces) };
      await new Upload({ client: s3, params, partSize: 5 * 1024 * 1024 }).done();
      expect((await place.read(params.Key)).equals(Buffer.concat(pieces))).toBe(true);
    },
  ],
];

/** Services whose requests are messages. */
export const MESSAGE_CASES: readonly JsCase[] = [
  [
    'DynamoDB keeps an item',
    async (place) => {
      const client = new DynamoDBClient(place.options('dynamodb'));
      const TableName = `table-${place.Bucket}`;
      const Item = { id: { S: 'é☃' }, body: { S: 'x'.repeat(100_000) } };
      await client.send(new PutItemCommand({ TableName, Item }));
      const got = await client.send(new GetItemCommand({ TableName, Key: { id: Item.id } }));
      expect(got.Item).toEqual(Item);
      client.destroy();
    },
  ],
  [
    'SQS passes a message on',
    async (place) => {
      const client = new SQSClient({ ...place.options('sqs'), useQueueUrlAsEndpoint: false });
      const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: `queue-${place.Bucket}` }));
      await client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'a message & more' }));
      const { Messages } = await client.send(new ReceiveMessageCommand({ QueueUrl }));
      expect(Messages?.map(({ Body }) => Body)).toEqual(['a message & more']);
      client.destroy();
    },
  ],
  [
    'STS knows the key that is behind',
    async (place) => {
      const client = new STSClient(place.options('sts'));
      expect(await client.send(new GetCallerIdentityCommand())).toMatchObject({ UserId: 'AKIAREALONE' });
      client.destroy();
    },
  ],
];
