import { createHash, createHmac } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { aws } from '../connectors/aws/index.ts';
import { type Arrival, type Begun, formatAuthority, type RequestHead } from '../src/connector/index.ts';
import { credentialsOf } from '../src/connector/testing.ts';
import { SidecarError } from '../src/error.ts';
import { canonicalRequest } from './aws/canonical-form.ts';
import type { Claim } from './aws/claim.ts';
import { DUMMY } from './aws/door.ts';
import { cutAt, type ReceivedHead } from './aws/received-head.ts';
import { checkSignature, identifySigner } from './aws/verify-head.ts';

/** The connector without a wire: what an agent signs goes in, what an upstream would get is verified independently. */

export const NOW = new Date('2026-01-02T03:04:05Z');
export const REAL = { accessKeyId: 'AKIAREALONE', secretAccessKey: 'real-secret', sessionToken: 'real-token' };
export const SIDECAR = '127.0.0.1:8009';
export const EMPTY = createHash('sha256').digest('hex');

type Config = Parameters<typeof aws.open>[0];
export type Service = ReturnType<typeof aws.open>;

export interface Asked {
  readonly method?: string;
  readonly target: string;
  readonly host?: string;
  /** Of the credential scope; default S3 in `eu-west-1`. */
  readonly service?: string;
  readonly region?: string;
  readonly time?: Date;
  readonly payload?: string;
  /** Signed, after `host`, `x-amz-content-sha256` and `x-amz-date`. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** Default the one of these tests. */
  readonly key?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** What a client with the agent's key sends, by a signer of these tests' own. */
export function agentSigns(asked: Asked): RequestHead {
  const { method = 'GET', target, host = SIDECAR, service = 's3', region = 'eu-west-1', time = NOW } = asked;
  const { payload = EMPTY, headers = [], key: agent = DUMMY } = asked;
  const timestamp = time.toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = [timestamp.slice(0, 8), region, service, 'aws4_request'];
  const lines = [['host', host], ['x-amz-content-sha256', payload], ['x-amz-date', timestamp], ...headers] as const;
  const received = receivedOf({ method, target, headers: lines.flat() });
  const names = [...new Set(received.lines.map(([name]) => name))].sort();
  const canonical = canonicalRequest(received, service, names, payload);
  const hmac = (key: string | Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const key = scope.reduce<string | Uint8Array>(hmac, `AWS4${agent.secretAccessKey}`);
  const hashed = createHash('sha256').update(canonical, 'latin1').digest('hex');
  const signature = hmac(key, ['AWS4-HMAC-SHA256', timestamp, scope.join('/'), hashed].join('\n')).toString('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${[agent.accessKeyId, ...scope].join('/')}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return { method, target, headers: [...lines.flat(), 'authorization', authorization] };
}

export function open(config: Config = {}): Service {
  const service = aws.open({ agents: { local: DUMMY }, ...config });
  onTestFinished(() => service.close?.());
  return service;
}

export function begin(service: Service, head: RequestHead, more: Partial<Arrival> = {}): Begun {
  return service.begin!({ head, basePath: '', bound: false, now: NOW, ...more });
}

export interface Sent {
  readonly head: RequestHead;
  readonly claim: Claim;
}

/** What goes upstream; fails unless a server with the real secret verifies it for the host that it goes to. */
export async function verified(begun: Begun, values: Record<string, string> = REAL): Promise<Sent> {
  const headers = begun.head.headers.filter((_, at, all) => all[at - (at % 2)]!.toLowerCase() !== 'host');
  const context = { origin: begun.origin, now: NOW, version: 'v1' };
  const { head } = await begun.authenticate({ ...begun.head, headers }, credentialsOf(values), context);
  const received = receivedOf({ ...head, headers: ['host', formatAuthority(begun.origin), ...head.headers] });
  const signer = identifySigner(received, [values as unknown as typeof REAL], NOW);
  if (signer === undefined) throw new Error('what went upstream is not signed');
  checkSignature(received, signer, signer.claim.payload ?? EMPTY);
  return { head, claim: signer.claim };
}

export function fieldsOf({ headers }: RequestHead, name: string): string[] {
  return headers.filter((_, at) => at % 2 === 1 && headers[at - 1]!.toLowerCase() === name);
}

/** The code of the refusal; `none` where there is none. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof SidecarError) return thrown.code;
    throw thrown;
  }
  return 'none';
}

function receivedOf({ method, target, headers }: RequestHead): ReceivedHead {
  const [path, query = ''] = cutAt(target, '?');
  const lines = headers.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), headers[at + 1]!] as const] : []));
  return { method, path, query, lines };
}
