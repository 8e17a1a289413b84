import { headerValues } from 'secretless-sidecar/connector';
import { type Protocol, protocolsOf } from '../endpoint/services.ts';
import type { SignableHead } from '../sign/head.ts';
import { splitTarget } from '../sign/query.ts';
import { actionsIn, announcesBody, isPlainForm } from './form.ts';
import { routeOf } from './routes.ts';

const ACTION = /^[A-Za-z][A-Za-z0-9]{0,127}$/;
/** Smithy RPC v2 CBOR protocol, "Requests". */
const RPC_PATH = /\/service\/[^/]{1,256}\/operation\/([^/]{1,256})\/?$/;

/**
 * Whether the action of a request stands in its body, so that facts are complete only with it. Give the head with its
 * framing fields, if they are still there.
 */
export function needsForm(head: SignableHead, service: string): boolean {
  return takesForms(protocolsOf(service)) && isRoot(head) && announcesBody(head) && isPlainForm(head);
}

/**
 * The action of a request to a service other than S3. Everything that names one counts: target field, RPC path, query,
 * form, route. Undefined unless exactly one does, and for a form that is not given or cannot be read in one way.
 */
export function actionOf(head: SignableHead, service: string, form: Uint8Array | undefined): string | undefined {
  const protocols = protocolsOf(service);
  const named = namedInHead(head, service, protocols);
  if (takesForms(protocols)) {
    // Such a service reads nothing but forms: what else names an action is there to mislead.
    const formsOnly = protocols.every((one) => one === 'query' || one === 'ec2');
    if (formsOnly && (!isRoot(head) || named.length > 0)) return undefined;
    const inForm = isRoot(head) && announcesBody(head) && (formsOnly || isPlainForm(head));
    if (inForm && (form === undefined || !isPlainForm(head))) return undefined;
    if (inForm) named.push(...actionsIn(latin1(form!)));
  } else if (isRpcOnly(protocols) && isForm(head)) return undefined;
  const { query } = splitTarget(head.target);
  if (query !== '' && !isRestOnly(protocols) && (isRoot(head) || named.length > 0)) named.push(...actionsIn(query));
  const [action] = named;
  return named.length === 1 && ACTION.test(action!) ? action : undefined;
}

function namedInHead(head: SignableHead, service: string, protocols: readonly Protocol[]): string[] {
  const { path } = splitTarget(head.target);
  // A service without operations named by a field does not look at it.
  const targets = isRestOnly(protocols) ? [] : headerValues(head.headers, 'x-amz-target');
  const named = targets.map((target) => target.slice(target.lastIndexOf('.') + 1).trim());
  const rpc = RPC_PATH.exec(path);
  if (rpc !== null) named.push(rpc[1]!);
  const route = routeOf(service, head.method, path);
  if (route !== undefined) named.push(route.action);
  return named;
}

/** Services that know an operation by its name alone, so that a request without one is none that is known. */
export function isRpcOnly(protocols: readonly Protocol[]): boolean {
  return protocols.length > 0 && protocols.every((one) => one === 'json' || one === 'query' || one === 'ec2');
}

export function isRoot({ target }: SignableHead): boolean {
  return /^\/*(?:\?|$)/.test(target);
}

function isRestOnly(protocols: readonly Protocol[]): boolean {
  return protocols.length > 0 && protocols.every((one) => one === 'rest-json' || one === 'rest-xml');
}

function takesForms(protocols: readonly Protocol[]): boolean {
  return protocols.includes('query') || protocols.includes('ec2');
}

function isForm({ headers }: SignableHead): boolean {
  return headerValues(headers, 'content-type').some((type) => /x-www-form-urlencoded|multipart\//i.test(type));
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
