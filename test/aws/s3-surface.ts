import { placeOf, type Call } from './call.ts';
import { xmlAnswer, type Answer } from './dialect.ts';
import type { ObjectStore } from './object-store.ts';
import { AwsRefusal } from './refusal.ts';
import { listObjects } from './s3-listing.ts';
import { asks, completeUpload, deleteObjects, getObject, keptHeaders, putObject, putPart } from './s3-objects.ts';

const OWNER = { ID: 'owner', DisplayName: 'owner' };

/** As much of S3 as its clients need to store, find and fetch. */
export function answerS3(store: ObjectStore, region: string, call: Call): Answer {
  const { bucket, key } = placeOf(call.head.path);
  if (bucket === '') return listBuckets(store, call);
  return key === '' ? answerBucket(store, region, bucket, call) : answerObject(store, bucket, key, call);
}

function listBuckets(store: ObjectStore, { head }: Call): Answer {
  if (head.method !== 'GET') throw notHere(head.method);
  const Bucket = [...store.buckets.keys()].sort().map((Name) => ({ Name, CreationDate: new Date(0).toISOString() }));
  return xmlAnswer({ ListAllMyBucketsResult: { Owner: OWNER, Buckets: { Bucket } } });
}

function answerBucket(store: ObjectStore, region: string, bucket: string, call: Call): Answer {
  switch (call.head.method) {
    case 'PUT':
      if (!store.buckets.has(bucket)) store.buckets.set(bucket, new Map());
      return { status: 200, headers: { location: `/${bucket}` } };
    case 'HEAD':
      store.bucket(bucket);
      return { status: 200, headers: { 'x-amz-bucket-region': region } };
    case 'DELETE':
      if (store.bucket(bucket).size > 0) throw new AwsRefusal(409, 'BucketNotEmpty', 'The bucket is not empty');
      store.buckets.delete(bucket);
      return { status: 204 };
    case 'POST':
      if (asks(call, 'delete')) return deleteObjects(store, bucket, call);
      throw notHere('POST');
    case 'GET':
      return bucketQuestion(store, region, bucket, call);
    default:
      throw notHere(call.head.method);
  }
}

function bucketQuestion(store: ObjectStore, region: string, bucket: string, call: Call): Answer {
  const objects = store.bucket(bucket);
  if (asks(call, 'location')) return xmlAnswer({ LocationConstraint: region });
  if (asks(call, 'versioning')) return xmlAnswer({ VersioningConfiguration: '' });
  if (asks(call, 'uploads')) {
    const open = [...store.uploads].filter(([, upload]) => upload.bucket === bucket);
    const Upload = open.map(([UploadId, { key }]) => ({ Key: key, UploadId, Initiated: new Date(0).toISOString() }));
    return xmlAnswer({ ListMultipartUploadsResult: { Bucket: bucket, IsTruncated: false, Upload } });
  }
  return listObjects(bucket, objects, call);
}

function answerObject(store: ObjectStore, bucket: string, key: string, call: Call): Answer {
  const upload = call.query.get('uploadId');
  switch (call.head.method) {
    case 'PUT':
      return upload === undefined ? putObject(store, bucket, key, call) : putPart(store, call);
    case 'POST':
      if (upload !== undefined) return completeUpload(store, bucket, key, call);
      if (!asks(call, 'uploads')) throw notHere('POST');
      return xmlAnswer({
        InitiateMultipartUploadResult: {
          Bucket: bucket,
          Key: key,
          UploadId: store.openUpload(bucket, key, keptHeaders(call)),
        },
      });
    case 'GET':
      if (upload !== undefined) return listParts(store, bucket, key, upload);
      return getObject(store, bucket, key, call);
    case 'HEAD':
      return getObject(store, bucket, key, call);
    case 'DELETE':
      if (upload === undefined) store.bucket(bucket).delete(key);
      else store.uploads.delete(upload);
      return { status: 204 };
    default:
      throw notHere(call.head.method);
  }
}

function listParts(store: ObjectStore, bucket: string, key: string, id: string): Answer {
  const parts = [...store.upload(id).parts].sort(([a], [b]) => a - b);
  const Part = parts.map(([number, { etag, bytes }]) => ({ PartNumber: number, ETag: `"${etag}"`, Size: bytes }));
  return xmlAnswer({ ListPartsResult: { Bucket: bucket, Key: key, UploadId: id, IsTruncated: false, Part } });
}

function notHere(method: string): AwsRefusal {
  return new AwsRefusal(501, 'NotImplemented', `${method} is not implemented here.`);
}
