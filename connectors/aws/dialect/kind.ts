import { headerValues, type RequestHead } from 'secretless-sidecar/connector';
import { endpointOfPrefix, protocolsOf } from '../endpoint/services.ts';
import { pathRuleOf } from '../sign/path.ts';

/** How a service writes an error. */
export type Kind = 'json-1.0' | 'json-1.1' | 'rest-json' | 'cbor' | 's3' | 'query' | 'ec2';

/** The kind that the client of a request reads; `service` is its signing name, where that is known by now. */
export function kindOf(head: RequestHead, service: string | undefined): Kind {
  const [type = ''] = headerValues(head.headers, 'content-type');
  if (headerValues(head.headers, 'smithy-protocol').includes('rpc-v2-cbor') || /^application\/cbor\b/i.test(type)) {
    return 'cbor';
  }
  const json = /^application\/x-amz-json-(1\.[01])\b/i.exec(type);
  if (json !== null) return json[1] === '1.0' ? 'json-1.0' : 'json-1.1';
  const name = service ?? claimedService(head);
  if (name === undefined) return unnamed(type);
  if (pathRuleOf(name) === 's3') return isControl(head) ? 'query' : 's3';
  return known(head, name, type);
}

function known(head: RequestHead, service: string, type: string): Kind {
  const protocols = protocolsOf(service);
  if (protocols.includes('ec2')) return 'ec2';
  // The other XML services wrap their errors as the query protocol does.
  if (protocols.includes('rest-xml')) return 'query';
  const named = headerValues(head.headers, 'x-amz-target').length > 0;
  if (protocols.includes('query') && !named && (isForm(type) || /^\/*\?.*\bAction=/.test(head.target))) return 'query';
  if (protocols.length === 1 && protocols[0] === 'query') return 'query';
  if (protocols.includes('json') && (named || !protocols.includes('rest-json'))) return 'json-1.1';
  return 'rest-json';
}

function unnamed(type: string): Kind {
  return isForm(type) ? 'query' : 'rest-json';
}

function isForm(type: string): boolean {
  return /^application\/x-www-form-urlencoded\b/i.test(type);
}

function isControl(head: RequestHead): boolean {
  return headerValues(head.headers, 'x-amz-account-id').length > 0;
}

/** What a request that was refused before it was read says of its service; only the look of the answer hangs on it. */
function claimedService({ target, headers }: RequestHead): string | undefined {
  const [, prefix] = /^\/_aws\/([A-Za-z0-9.-]{1,128})(?:[/?]|$)/.exec(target) ?? [];
  if (prefix !== undefined) return endpointOfPrefix(prefix)?.service;
  const [authorization = ''] = headerValues(headers, 'authorization');
  const [, signed] = /Credential=[^/,]{1,128}\/\d{8}\/(?:[a-z0-9-]{1,32}\/)?([A-Za-z0-9-]{1,63})\/aws4_request/.exec(
    authorization.length > 0 ? authorization : presigned(target),
  ) ?? [undefined, undefined];
  if (signed !== undefined) return signed;
  return /^AWS /.test(authorization) || /[?&]AWSAccessKeyId=/.test(target) ? 's3' : undefined;
}

function presigned(target: string): string {
  const mark = target.indexOf('X-Amz-Credential=');
  return mark < 0 ? '' : target.slice(mark + 6, mark + 512).replaceAll(/%2F/gi, '/');
}
