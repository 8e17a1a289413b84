import { type Origin, type RequestHead, headerValues, SidecarError } from 'secretless-sidecar/connector';
import { hintedPrefix } from './hints.ts';
import { hostOf } from './host-rules.ts';
import { type Partition, partitionOf } from './partitions.ts';
import { hostOfResource, resourceHostsOf } from './resource-hosts.ts';
import { expressHost, splitBucket } from './express.ts';
import { type ServiceEndpoint, endpointOfPrefix, endpointsOf } from './services.ts';
import { variableFor } from './variables.ts';

/** Where a request goes, and what it is signed for there. */
export interface Endpoint {
  readonly origin: Origin;
  /** Signing name. */
  readonly service: string;
  /** Region to sign for: that of the scope, but for services that have one region only. */
  readonly region: string;
  readonly partition: string;
  /** Target to send, where the host takes another than the one that came: the bucket has gone into the host. */
  readonly target?: string;
}

/** The parts of a credential scope that name a place. */
export interface ScopePlace {
  readonly service: string;
  /** Absent in scopes of SigV4a. */
  readonly region?: string | undefined;
}

const RESOURCE_ID = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const ACCOUNT_ID = /^\d{12}$/;

/**
 * The endpoint of a request that came to the sidecar's own address. `prefix` is the word after `/_aws/`, where there
 * is one; `head` is without it. Nothing is guessed: a signing name with several endpoints needs the prefix, or a
 * request that says itself which one it is for.
 * Errors: `upstream-unclear`, with the variable to set in its detail.
 */
export function fromScope(scope: ScopePlace, head: RequestHead, prefix?: string): Endpoint {
  const { service, region } = scope;
  if (region === undefined) throw unclear('a signature for a set of regions needs the host of its service');
  const partition = partitionOf(region);
  if (partition === undefined) throw unclear('the region of the credential scope is none of AWS');
  const resource = prefix === undefined ? undefined : resourceOrigin(service, prefix, partition, region);
  if (resource !== undefined) return resource;
  if (service === 's3express' && (prefix === undefined || prefix === 's3')) return express(head, partition, region);
  if (service === 's3-object-lambda') return routedLambda(head, partition, region);
  const endpoint = prefix === undefined ? unprefixed(service, head) : prefixed(service, prefix);
  if (endpoint.prefix === 's3-control') return control(head, partition, region);
  const { host, region: signed } = hostOf(endpoint, partition, region);
  return at(host, service, signed, partition);
}

/** The word after `/_aws/` and the target without both; no prefix where the path does not begin so. */
export function splitPrefix(target: string): { readonly prefix?: string; readonly target: string } {
  const [, prefix, rest] = /^\/_aws(?:\/([^/?]*))?([/?].*)?$/s.exec(target) ?? [];
  if (prefix === undefined && rest === undefined && target !== '/_aws') return { target };
  if (prefix === undefined || !/^[A-Za-z0-9.-]{1,128}$/.test(prefix))
    throw unclear('the path after /_aws/ names no endpoint: set AWS_ENDPOINT_URL to the address alone');
  return { prefix, target: rest === undefined ? '/' : rest.startsWith('?') ? `/${rest}` : rest };
}

function prefixed(service: string, prefix: string): ServiceEndpoint {
  const endpoint = endpointOfPrefix(prefix);
  if (endpoint === undefined) throw unclear('the path after /_aws/ names no endpoint of AWS');
  if (endpoint.service !== service)
    throw unclear(`the endpoint ${prefix} is signed as ${endpoint.service}, the request for another service`);
  return endpoint;
}

function unprefixed(service: string, head: RequestHead): ServiceEndpoint {
  const endpoints = endpointsOf(service);
  if (endpoints.length === 1) return endpoints[0]!;
  if (endpoints.length === 0) {
    const [resource] = resourceHostsOf(service);
    if (resource === undefined) throw unclear('the service of the credential scope is unknown');
    throw unclear(`name the resource: set the endpoint to http://…/_aws/<id>.${resource.name}`);
  }
  const hinted = hintedPrefix(service, head);
  const endpoint = hinted === undefined ? undefined : endpointOfPrefix(hinted);
  if (endpoint !== undefined) return endpoint;
  throw unclear(`${service} has several endpoints: set ${endpoints.map(variableFor).join(' or ')}`);
}

/** `/_aws/<id>.execute-api` and its like. */
function resourceOrigin(service: string, prefix: string, partition: Partition, region: string): Endpoint | undefined {
  for (const kind of resourceHostsOf(service)) {
    if (!prefix.endsWith(`.${kind.name}`)) continue;
    const id = prefix.slice(0, -kind.name.length - 1);
    const labels = id.split('.');
    if (labels.length > kind.idLabelsMax || !labels.every((label) => RESOURCE_ID.test(label))) continue;
    if (endpointOfPrefix(prefix) !== undefined) continue;
    return at(hostOfResource(kind, id, partition, region), service, region, partition);
  }
  return undefined;
}

/** S3 Control API Reference: the account is a label of the host. */
function control(head: RequestHead, partition: Partition, region: string): Endpoint {
  const [account, ...more] = headerValues(head.headers, 'x-amz-account-id');
  if (account === undefined || more.length > 0 || !ACCOUNT_ID.test(account))
    throw unclear('a request to s3-control needs one x-amz-account-id of 12 digits');
  return at(`${account}.s3-control.${region}.${partition.suffix}`, 's3', region, partition);
}

/** S3 API Reference, WriteGetObjectResponse: the route of the request is a label of the host. */
function routedLambda(head: RequestHead, partition: Partition, region: string): Endpoint {
  const [route, ...more] = headerValues(head.headers, 'x-amz-request-route');
  if (route === undefined || more.length > 0 || !RESOURCE_ID.test(route))
    throw unclear('only a proxy setting reaches an access point of S3 Object Lambda');
  return at(`${route}.s3-object-lambda.${region}.${partition.suffix}`, 's3-object-lambda', region, partition);
}

function express(head: RequestHead, partition: Partition, region: string): Endpoint {
  const split = splitBucket(head.target);
  const host = expressHost(head.method, split, region, partition.suffix);
  if (host === undefined) throw unclear('the path does not begin with the name of a directory bucket');
  const placed = at(host, 's3express', region, partition);
  return host.startsWith('s3express-control.') ? placed : { ...placed, target: split.rest };
}

function at(host: string, service: string, region: string, partition: Partition): Endpoint {
  return { origin: { scheme: 'https', host, port: 443 }, service, region, partition: partition.id };
}

/** `next` has words of our own tables alone: the agent hears it. */
function unclear(next: string): SidecarError {
  return new SidecarError('upstream-unclear', { detail: next, next });
}
