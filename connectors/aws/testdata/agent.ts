import { createHash, createHmac } from 'node:crypto';
import {
  type Arrival,
  type Begun,
  formatAuthority,
  type Origin,
  type RequestHead,
  SidecarError,
} from 'secretless-sidecar/connector';
import { credentialsOf, requestHead } from 'secretless-sidecar/connector/testing';
import { type Config, WELL_KNOWN_KEY } from '../config.ts';
import { aws } from '../index.ts';
import { readAuthentication, type V4Authentication } from '../sign/authentication.ts';
import { SigningKey } from '../sign/key.ts';
import type { Scope } from '../sign/scope.ts';
import { EcdsaKey } from '../sign/sigv4a.ts';
import { signHead, type Signing } from '../sign/sigv4.ts';
import { hmacVerifier, verifyInbound } from '../sign/verify.ts';

/** Requests as agents sign them, and what a server with the real secret makes of what is sent. */

export const NOW = new Date('2026-01-02T03:04:05Z');
export const REAL = { accessKeyId: 'AKIAREALREALREAL1', secretAccessKey: 'the-real-secret' };
export const LOCAL = '127.0.0.1:8009';
export const EMPTY = createHash('sha256').digest('hex');

type Key = { readonly accessKeyId: string; readonly secretAccessKey: string };
type Given = Partial<Omit<Signing, 'signer'>> & { readonly scope?: Scope; readonly key?: Key };

export function scopeOf(service: string, region = 'eu-west-1'): Scope {
  return { date: '20260102', region, service };
}

export function get(target: string, headers: Record<string, string> = {}): RequestHead {
  return requestHead('GET', target, { Host: LOCAL, ...headers });
}

export function agentSigns(head: RequestHead, { scope = scopeOf('s3'), key = WELL_KNOWN_KEY, ...more }: Given = {}) {
  const signer = SigningKey.derive(Buffer.from(key.secretAccessKey), scope);
  return signHead(head, { time: NOW, payloadHash: EMPTY, ...more, signer, accessKeyId: key.accessKeyId }).head;
}

/** For a set of regions, which stands in a field. */
export function agentSigns4a(head: RequestHead, service: string, { key = WELL_KNOWN_KEY, ...more }: Given = {}) {
  const ecdsa = EcdsaKey.derive(Buffer.from(key.secretAccessKey), key.accessKeyId);
  const signer = ecdsa.bind({ date: '20260102', service });
  return signHead(head, { time: NOW, payloadHash: EMPTY, ...more, signer, accessKeyId: key.accessKeyId }).head;
}

/** A signed URL of version 2 for a plain object. */
export function presignV2(path: string, expires: number, { accessKeyId, secretAccessKey }: Key = WELL_KNOWN_KEY): string {
  const signature = createHmac('sha1', secretAccessKey).update(`GET\n\n\n${expires}\n${path}`).digest('base64');
  return `${path}?AWSAccessKeyId=${accessKeyId}&Signature=${encodeURIComponent(signature)}&Expires=${expires}`;
}

export function begin(head: RequestHead, config: Config = {}, more: Partial<Arrival> = {}): Begun {
  return aws.open(config).begin!({ head, basePath: '', bound: false, now: NOW, ...more });
}

/** `none` where nothing is thrown. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof SidecarError) return thrown.code;
    throw thrown;
  }
  return 'none';
}

/** As the core does it: Host is taken off before, and that of the origin written after. */
export async function send(begun: Begun, values: Record<string, string> = REAL, bodySha256?: string, version = 'v1') {
  const headers = begun.head.headers.filter((_, at, all) => all[at - (at % 2)]!.toLowerCase() !== 'host');
  const known = bodySha256 === undefined ? {} : { bodySha256 };
  const context = { origin: begun.origin, now: NOW, version, ...known };
  return begun.authenticate({ ...begun.head, headers }, credentialsOf(values), context);
}

/** What the request is signed for; fails unless the real secret made its signature. */
export function verified(head: RequestHead, origin: Origin, { accessKeyId, secretAccessKey }: Key = REAL): V4Authentication {
  const sent = { ...head, headers: [...head.headers, 'Host', formatAuthority(origin)] };
  const authentication = readAuthentication(head) as V4Authentication;
  const secret = Buffer.from(secretAccessKey);
  const verifier =
    authentication.algorithm === 'AWS4-HMAC-SHA256'
      ? hmacVerifier(SigningKey.derive(secret, authentication.scope))
      : EcdsaKey.derive(secret, accessKeyId);
  const verdict = verifyInbound(sent, authentication, verifier);
  if (!verdict.verified || verdict.unsigned.length > 0) throw new Error(JSON.stringify(verdict));
  return authentication;
}
