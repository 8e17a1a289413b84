import { describe, expect, test } from 'vitest';
import { awsFactsOf, returnsCredentials } from './aws-facts.ts';

function facts(
  method: string,
  target: string,
  options: { headers?: string[]; bucket?: string; service?: string } = {},
) {
  const { headers = [], bucket, service = 's3' } = options;
  return awsFactsOf({ method, target, headers }, { service, region: 'eu-west-1' }, { bucket });
}

function named(method: string, target: string, headers: string[] = []): string | undefined {
  return facts(method, target, { headers }).action;
}

describe('the operation', () => {
  test.each([
    ['GET', '/', 'ListBuckets'],
    ['GET', '/?x-id=ListBuckets&max-buckets=1', 'ListBuckets'],
    ['GET', '/b', 'ListObjects'],
    ['GET', '/b/', 'ListObjects'],
    ['GET', '/b?list-type=2&prefix=acl', 'ListObjectsV2'],
    ['GET', '/b/?versions', 'ListObjectVersions'],
    ['GET', '/b?uploads', 'ListMultipartUploads'],
    ['GET', '/b?location', 'GetBucketLocation'],
    ['GET', '/b?acl', 'GetBucketAcl'],
    ['GET', '/b?policy=', 'GetBucketPolicy'],
    ['GET', '/b?policyStatus', 'GetBucketPolicyStatus'],
    ['GET', '/b?lifecycle', 'GetBucketLifecycleConfiguration'],
    ['GET', '/b?inventory', 'ListBucketInventoryConfigurations'],
    ['GET', '/b?inventory&id=1', 'GetBucketInventoryConfiguration'],
    ['GET', '/b?session', 'CreateSession'],
    ['HEAD', '/b', 'HeadBucket'],
    ['PUT', '/b', 'CreateBucket'],
    ['PUT', '/b?acl', 'PutBucketAcl'],
    ['PUT', '/b?versioning', 'PutBucketVersioning'],
    ['PUT', '/b?policy', 'PutBucketPolicy'],
    ['DELETE', '/b', 'DeleteBucket'],
    ['DELETE', '/b?policy', 'DeleteBucketPolicy'],
    ['DELETE', '/b?analytics&id=1', 'DeleteBucketAnalyticsConfiguration'],
    ['POST', '/b?delete', 'DeleteObjects'],
    ['POST', '/b', 'PostObject'],
    ['GET', '/b/k', 'GetObject'],
    ['GET', '/b/k?versionId=1&partNumber=2&response-content-type=x', 'GetObject'],
    ['GET', '/b/k?acl', 'GetObjectAcl'],
    ['GET', '/b/k?attributes', 'GetObjectAttributes'],
    ['GET', '/b/k?tagging', 'GetObjectTagging'],
    ['GET', '/b/k?uploadId=u&part-number-marker=1', 'ListParts'],
    ['HEAD', '/b/k', 'HeadObject'],
    ['PUT', '/b/k', 'PutObject'],
    ['PUT', '/b/k?x-id=PutObject', 'PutObject'],
    ['PUT', '/b/k?partNumber=1&uploadId=u', 'UploadPart'],
    ['PUT', '/b/k?retention', 'PutObjectRetention'],
    ['PUT', '/b/k?renameObject', 'RenameObject'],
    ['DELETE', '/b/k', 'DeleteObject'],
    ['DELETE', '/b/k?versionId=1', 'DeleteObject'],
    ['DELETE', '/b/k?uploadId=u', 'AbortMultipartUpload'],
    ['DELETE', '/b/k?tagging', 'DeleteObjectTagging'],
    ['POST', '/b/k?uploads', 'CreateMultipartUpload'],
    ['POST', '/b/k?uploadId=u', 'CompleteMultipartUpload'],
    ['POST', '/b/k?restore', 'RestoreObject'],
    ['POST', '/b/k?select&select-type=2', 'SelectObjectContent'],
    ['GET', '/b/k?%61cl', 'GetObjectAcl'],
  ])('%s %s is %s', (method, target, action) => {
    expect(named(method, target)).toBe(action);
  });

  test('with a source is a copy', () => {
    expect(named('PUT', '/b/k', ['X-Amz-Copy-Source', '/a/k'])).toBe('CopyObject');
    expect(named('PUT', '/b/k?partNumber=1&uploadId=u', ['x-amz-copy-source', '/a/k'])).toBe('UploadPartCopy');
  });

  test.each([
    ['PUT', '/b/k?acl&tagging'],
    ['GET', '/b/k?acl&uploadId=u'],
    ['GET', '/b?acl&policy'],
    ['GET', '/b?session&location'],
    ['PUT', '/b/k?partNumber=1'],
    ['PUT', '/b/k?uploadId=u'],
    ['GET', '/b?list-type=2&list-type=3'],
    ['GET', '/b/k?policy'],
    ['POST', '/b/k'],
    ['PATCH', '/b/k'],
    ['OPTIONS', '/b/k'],
    ['GET', '/?acl'],
    ['get', '/b/k'],
    ['GET', '//k'],
    ['GET', '/b/k?%zz'],
    ['constructor', '/b/k'],
    ['__proto__', '/b/k?acl'],
  ])('is absent where a store could read it in two ways, or not at all: %s %s', (method, target) => {
    expect(named(method, target)).toBeUndefined();
  });

  test('is that of S3 Express and of S3 Object Lambda at their hosts', () => {
    expect(facts('GET', '/', { service: 's3express' }).action).toBe('ListDirectoryBuckets');
    const lambda = { service: 's3-object-lambda', bucket: 'accesspoint/route' };
    expect(facts('POST', '/WriteGetObjectResponse', lambda)).toEqual({
      service: 's3-object-lambda',
      region: 'eu-west-1',
      action: 'WriteGetObjectResponse',
    });
    expect(facts('GET', '/k', lambda)).toMatchObject({ action: 'GetObject', bucket: 'accesspoint/route', key: 'k' });
  });
});

describe('bucket and key', () => {
  test('stand in the path, or the bucket in the host', () => {
    expect(facts('GET', '/b/a/k')).toMatchObject({ bucket: 'b', key: 'a/k' });
    expect(facts('GET', '/a/k', { bucket: 'b' })).toMatchObject({ bucket: 'b', key: 'a/k', action: 'GetObject' });
    expect(facts('GET', '/', { bucket: 'b' })).toEqual({
      service: 's3',
      region: 'eu-west-1',
      action: 'ListObjects',
      bucket: 'b',
    });
    expect(facts('GET', '/').bucket).toBeUndefined();
  });

  test('are decoded once, and nothing in them is resolved', () => {
    expect(facts('GET', '/%62/a%2Fb%252F')).toMatchObject({ bucket: 'b', key: 'a/b%2F' });
    expect(facts('GET', '/b/../c/./d//e/').key).toBe('../c/./d//e/');
    expect(facts('GET', '/b//k').key).toBe('/k');
    expect(facts('GET', '/b/a+b').key).toBe('a+b');
    expect(facts('GET', '/b/k%3Facl').key).toBe('k?acl');
  });

  test('keep their bytes apart where these are no UTF-8', () => {
    expect(facts('GET', '/b/caf%C3%A9').key).toBe('café');
    expect(facts('GET', '/b/caf\u00c3\u00a9').key).toBe('café');
    expect(facts('GET', '/b/caf%E9').key).toBe('caf\udce9');
    expect(facts('GET', '/b/%C3%A9%FF%E2%82').key).toBe('é\udcff\udce2\udc82');
    expect(facts('GET', '/b/%ED%B3%A9').key).toBe('\udced\udcb3\udca9');
    expect(facts('GET', '/b/%F0%9F%98%80').key).toBe('😀');
    expect(facts('GET', '/b/%EF%BB%BFk').key).toBe('\ufeffk');
  });

  test('are absent where the host has none, and where an escape is none', () => {
    const head = { method: 'GET', target: '/v20180820/bucket/b', headers: [] };
    expect(awsFactsOf(head, { service: 's3', region: 'eu-west-1' }, { control: true })).toEqual({
      service: 's3',
      region: 'eu-west-1',
    });
    expect(facts('GET', '/b/%zz')).toEqual({ service: 's3', region: 'eu-west-1' });
  });
});

describe('an answer with keys in it', () => {
  const gives = (method: string, target: string): boolean =>
    returnsCredentials(facts(method, target), { method, target, headers: [] });

  test.each(['/b?session', '/b/?session=', '/b//?session=', '/b?%73ession', '/b?session&location', '/b?x=%zz&session'])(
    'is that to GET %s',
    (target) => {
      expect(gives('GET', target)).toBe(true);
    },
  );

  test('is that of S3 Access Grants', () => {
    expect(gives('GET', '/v20180820/accessgrantsinstance/dataaccess?target=s3://b/*')).toBe(true);
    expect(gives('GET', '/V20180820//accessgrantsinstance/./data%61ccess')).toBe(true);
  });

  test('is no other', () => {
    for (const target of ['/', '/b', '/b/session', '/b?prefix=session', '/session/session'])
      expect(gives('GET', target)).toBe(false);
    expect(gives('PUT', '/b/k')).toBe(false);
  });
});
