import type { Account } from './verify-head.ts';

/**
 * Requests with the signatures that AWS prints in its documentation (S3 API Reference: "Signature Calculations for the
 * Authorization Header", "… Transferring Payload in Multiple Chunks", "… trailing headers", "Using Query Parameters").
 */

export const PUBLISHED_ACCOUNT: Account = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
export const PUBLISHED_TIME = new Date('2013-05-24T00:00:00Z');
export const PUBLISHED_REGION = 'us-east-1';

export interface Published {
  readonly name: string;
  readonly method: string;
  readonly target: string;
  /** Flat list of names and values. */
  readonly headers: readonly string[];
  readonly body?: string;
  /** What the answer is where every signature fits. */
  readonly status: number;
}

const SCOPE = 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request';
const HOST = ['host', 'examplebucket.s3.amazonaws.com', 'x-amz-date', '20130524T000000Z'];
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

function authorization(signedHeaders: string, signature: string): string[] {
  const value = `AWS4-HMAC-SHA256 Credential=${SCOPE},SignedHeaders=${signedHeaders},Signature=${signature}`;
  return ['authorization', value];
}

const CHUNKED = [
  ...['host', 's3.amazonaws.com', 'x-amz-date', '20130524T000000Z', 'x-amz-storage-class', 'REDUCED_REDUNDANCY'],
  ...['content-encoding', 'aws-chunked', 'x-amz-decoded-content-length', '66560'],
];
const LARGE = 'a'.repeat(65_536);
const SMALL = 'a'.repeat(1024);

function chunk(data: string, signature: string): string {
  return `${data.length.toString(16)};chunk-signature=${signature}\r\n${data}${data === '' ? '' : '\r\n'}`;
}

const TRAILER = 'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435';

/** Virtual-hosted in the documentation: a server of path-style requests reads the key as a bucket that is not there. */
export const PUBLISHED: readonly Published[] = [
  {
    name: 'GET Object',
    method: 'GET',
    target: '/test.txt',
    headers: [
      ...[...HOST, 'range', 'bytes=0-9', 'x-amz-content-sha256', EMPTY],
      ...authorization(
        'host;range;x-amz-content-sha256;x-amz-date',
        'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
      ),
    ],
    status: 404,
  },
  {
    name: 'PUT Object',
    method: 'PUT',
    target: '/test$file.text',
    headers: [
      ...[...HOST, 'date', 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class', 'REDUCED_REDUNDANCY'],
      ...['x-amz-content-sha256', '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072'],
      ...['content-length', '21'],
      ...authorization(
        'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class',
        '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
      ),
    ],
    body: 'Welcome to Amazon S3.',
    status: 200,
  },
  {
    name: 'GET Bucket Lifecycle',
    method: 'GET',
    target: '/?lifecycle',
    headers: [
      ...[...HOST, 'x-amz-content-sha256', EMPTY],
      ...authorization(
        'host;x-amz-content-sha256;x-amz-date',
        'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
      ),
    ],
    status: 200,
  },
  {
    name: 'GET Bucket (List Objects)',
    method: 'GET',
    target: '/?max-keys=2&prefix=J',
    headers: [
      ...[...HOST, 'x-amz-content-sha256', EMPTY],
      ...authorization(
        'host;x-amz-content-sha256;x-amz-date',
        '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
      ),
    ],
    status: 200,
  },
  {
    name: 'presigned GET Object',
    method: 'GET',
    target:
      '/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request' +
      '&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host' +
      '&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    headers: ['host', 'examplebucket.s3.amazonaws.com'],
    status: 404,
  },
  {
    name: 'PUT Object in signed chunks',
    method: 'PUT',
    target: '/examplebucket/chunkObject.txt',
    headers: [
      ...[...CHUNKED, 'content-length', '66824', 'x-amz-content-sha256', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'],
      ...authorization(
        'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class',
        '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
      ),
    ],
    body:
      chunk(LARGE, 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648') +
      chunk(SMALL, '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497') +
      `${chunk('', 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9')}\r\n`,
    status: 200,
  },
  {
    name: 'PUT Object in signed chunks with a trailer',
    method: 'PUT',
    target: '/examplebucket/chunkObject.txt',
    headers: [
      ...[...CHUNKED, 'transfer-encoding', 'chunked', 'x-amz-trailer', 'x-amz-checksum-crc32c'],
      ...['x-amz-content-sha256', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'],
      ...authorization(
        'content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer',
        '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
      ),
    ],
    body:
      chunk(LARGE, 'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2') +
      chunk(SMALL, '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7') +
      chunk('', '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992') +
      `x-amz-checksum-crc32c:sOO8/Q==\r\n${TRAILER}\r\n\r\n`,
    status: 200,
  },
];
