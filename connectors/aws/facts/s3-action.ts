import { headerValues } from 'secretless-sidecar/connector';
import type { SignableHead } from '../sign/head.ts';
import type { Parameter } from '../sign/query.ts';

/**
 * Operations of the S3 API by method and subresource (S3 API Reference; service model of botocore 1.43.11).
 * `GET+id` counts where the query has an `id`.
 */
const BUCKET = `
  abac GET:GetBucketAbac PUT:PutBucketAbac
  accelerate GET:GetBucketAccelerateConfiguration PUT:PutBucketAccelerateConfiguration
  acl GET:GetBucketAcl PUT:PutBucketAcl
  analytics GET:ListBucketAnalyticsConfigurations GET+id:GetBucketAnalyticsConfiguration
  analytics PUT:PutBucketAnalyticsConfiguration DELETE:DeleteBucketAnalyticsConfiguration
  cors GET:GetBucketCors PUT:PutBucketCors DELETE:DeleteBucketCors
  delete POST:DeleteObjects
  encryption GET:GetBucketEncryption PUT:PutBucketEncryption DELETE:DeleteBucketEncryption
  intelligent-tiering GET:ListBucketIntelligentTieringConfigurations
  intelligent-tiering GET+id:GetBucketIntelligentTieringConfiguration
  intelligent-tiering PUT:PutBucketIntelligentTieringConfiguration
  intelligent-tiering DELETE:DeleteBucketIntelligentTieringConfiguration
  inventory GET:ListBucketInventoryConfigurations GET+id:GetBucketInventoryConfiguration
  inventory PUT:PutBucketInventoryConfiguration DELETE:DeleteBucketInventoryConfiguration
  lifecycle GET:GetBucketLifecycleConfiguration PUT:PutBucketLifecycleConfiguration DELETE:DeleteBucketLifecycle
  location GET:GetBucketLocation
  logging GET:GetBucketLogging PUT:PutBucketLogging
  metadataConfiguration GET:GetBucketMetadataConfiguration POST:CreateBucketMetadataConfiguration
  metadataConfiguration DELETE:DeleteBucketMetadataConfiguration
  metadataInventoryTable PUT:UpdateBucketMetadataInventoryTableConfiguration
  metadataJournalTable PUT:UpdateBucketMetadataJournalTableConfiguration
  metadataTable GET:GetBucketMetadataTableConfiguration POST:CreateBucketMetadataTableConfiguration
  metadataTable DELETE:DeleteBucketMetadataTableConfiguration
  metrics GET:ListBucketMetricsConfigurations GET+id:GetBucketMetricsConfiguration
  metrics PUT:PutBucketMetricsConfiguration DELETE:DeleteBucketMetricsConfiguration
  notification GET:GetBucketNotificationConfiguration PUT:PutBucketNotificationConfiguration
  object-lock GET:GetObjectLockConfiguration PUT:PutObjectLockConfiguration
  ownershipControls GET:GetBucketOwnershipControls PUT:PutBucketOwnershipControls
  ownershipControls DELETE:DeleteBucketOwnershipControls
  policy GET:GetBucketPolicy PUT:PutBucketPolicy DELETE:DeleteBucketPolicy
  policyStatus GET:GetBucketPolicyStatus
  publicAccessBlock GET:GetPublicAccessBlock PUT:PutPublicAccessBlock DELETE:DeletePublicAccessBlock
  replication GET:GetBucketReplication PUT:PutBucketReplication DELETE:DeleteBucketReplication
  requestPayment GET:GetBucketRequestPayment PUT:PutBucketRequestPayment
  session GET:CreateSession
  tagging GET:GetBucketTagging PUT:PutBucketTagging DELETE:DeleteBucketTagging
  uploads GET:ListMultipartUploads
  versioning GET:GetBucketVersioning PUT:PutBucketVersioning
  versions GET:ListObjectVersions
  website GET:GetBucketWebsite PUT:PutBucketWebsite DELETE:DeleteBucketWebsite`;

const OBJECT = `
  acl GET:GetObjectAcl PUT:PutObjectAcl
  attributes GET:GetObjectAttributes
  encryption PUT:UpdateObjectEncryption
  legal-hold GET:GetObjectLegalHold PUT:PutObjectLegalHold
  renameObject PUT:RenameObject
  restore POST:RestoreObject
  retention GET:GetObjectRetention PUT:PutObjectRetention
  select POST:SelectObjectContent
  tagging GET:GetObjectTagging PUT:PutObjectTagging DELETE:DeleteObjectTagging
  torrent GET:GetObjectTorrent
  uploadId GET:ListParts POST:CompleteMultipartUpload DELETE:AbortMultipartUpload PUT:UploadPart
  uploads POST:CreateMultipartUpload`;

const SUBRESOURCES = { bucket: readTable(BUCKET), object: readTable(OBJECT) };
const NAMES: ReadonlySet<string> = new Set([...SUBRESOURCES.bucket.keys(), ...SUBRESOURCES.object.keys()]);

const PLAIN: Readonly<Record<'bucket' | 'object', ReadonlyMap<string, string>>> = {
  bucket: new Map([
    ['GET', 'ListObjects'],
    ['HEAD', 'HeadBucket'],
    ['PUT', 'CreateBucket'],
    ['DELETE', 'DeleteBucket'],
    ['POST', 'PostObject'],
  ]),
  object: new Map([
    ['GET', 'GetObject'],
    ['HEAD', 'HeadObject'],
    ['PUT', 'PutObject'],
    ['DELETE', 'DeleteObject'],
  ]),
};

/**
 * Name of the operation; undefined for what the API does not know, and where two subresources are named, of which
 * the store would pick one.
 */
export function s3Action(
  head: SignableHead,
  service: string,
  level: 'service' | 'bucket' | 'object',
  parameters: readonly Parameter[],
): string | undefined {
  const { method } = head;
  if (level === 'service') {
    if (method !== 'GET' || subresourceOf(parameters) !== undefined) return undefined;
    return service === 's3express' ? 'ListDirectoryBuckets' : 'ListBuckets';
  }
  const subresource = subresourceOf(parameters);
  if (subresource === undefined) return plain(head, level, parameters);
  const operations = SUBRESOURCES[level].get(subresource);
  if (operations === undefined) return undefined;
  const action = (has(parameters, 'id') ? operations.get(`${method}+id`) : undefined) ?? operations.get(method);
  if (action !== 'UploadPart') return action;
  if (!has(parameters, 'partNumber')) return undefined;
  return copies(head) ? 'UploadPartCopy' : 'UploadPart';
}

/** The one subresource of a query; undefined for none, a word that is none for several. */
function subresourceOf(parameters: readonly Parameter[]): string | undefined {
  let found: string | undefined;
  for (const [name] of parameters) {
    if (!NAMES.has(name) || name === found) continue;
    if (found !== undefined) return 'several';
    found = name;
  }
  return found;
}

function plain(head: SignableHead, level: 'bucket' | 'object', parameters: readonly Parameter[]): string | undefined {
  const action = PLAIN[level].get(head.method);
  if (action === 'PutObject') {
    if (has(parameters, 'partNumber')) return undefined;
    return copies(head) ? 'CopyObject' : action;
  }
  if (action !== 'ListObjects') return action;
  const types = parameters.filter(([name]) => name === 'list-type');
  if (types.length === 0) return action;
  return types.length === 1 && types[0]![1] === '2' ? 'ListObjectsV2' : undefined;
}

function copies({ headers }: SignableHead): boolean {
  return headerValues(headers, 'x-amz-copy-source').length > 0;
}

function has(parameters: readonly Parameter[], wanted: string): boolean {
  return parameters.some(([name]) => name === wanted);
}

function readTable(text: string): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const read = new Map<string, Map<string, string>>();
  for (const line of text.trim().split('\n')) {
    const [subresource, ...operations] = line.trim().split(' ') as [string, ...string[]];
    const known = read.get(subresource) ?? new Map<string, string>();
    for (const operation of operations) {
      const [method, action] = operation.split(':') as [string, string];
      known.set(method, action);
    }
    read.set(subresource, known);
  }
  return read;
}
