import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { Operation } from '../json-patch.ts';
import { readAuthorities, readToken, type Cluster } from './service-account.ts';

const HEADER_BYTES_MAX = 16 * 1024;
const BODY_BYTES_MAX = 4 * 1024 * 1024;
const TIMEOUT_MS = 10_000;
const REASON_CHARACTERS_MAX = 300;

export interface ApiAnswer {
  readonly status: number;
  /** Parsed JSON. */
  readonly body: unknown;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH';

/**
 * The few calls of the Kubernetes API that the injector makes. Each is a connection of its own with the token and the
 * authorities as they are at that moment: there are two calls a minute, and both files are replaced by the kubelet.
 */
export class KubernetesApi {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  get(path: string, signal: AbortSignal): Promise<ApiAnswer> {
    return this.#call('GET', path, undefined, signal);
  }

  create(path: string, body: object, signal: AbortSignal): Promise<ApiAnswer> {
    return this.#call('POST', path, body, signal);
  }

  /** The API server refuses it with 409 where `metadata.resourceVersion` is no longer the newest. */
  update(path: string, body: object, signal: AbortSignal): Promise<ApiAnswer> {
    return this.#call('PUT', path, body, signal);
  }

  patch(path: string, operations: readonly Operation[], signal: AbortSignal): Promise<ApiAnswer> {
    return this.#call('PATCH', path, operations, signal);
  }

  async #call(method: Method, path: string, body: object | undefined, signal: AbortSignal): Promise<ApiAnswer> {
    const { origin } = this.#cluster;
    const [token, ca] = await Promise.all([readToken(this.#cluster), readAuthorities(this.#cluster)]);
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    try {
      // Imported as ESM, node:https would load node's own undici (see node-http.ts).
      const asked = process.getBuiltinModule('node:https').request(`${origin}${path}`, {
        method,
        headers: {
          accept: 'application/json',
          authorization: token.expose((bytes) => `Bearer ${bytes.toString('latin1').trim()}`),
          ...(payload === undefined ? {} : { 'content-type': method === 'PATCH' ? JSON_PATCH : 'application/json' }),
          ...(payload === undefined ? {} : { 'content-length': payload.length }),
        },
        agent: false,
        ca,
        minVersion: 'TLSv1.2',
        maxHeaderSize: HEADER_BYTES_MAX,
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      asked.end(payload);
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      return { status: answer.statusCode!, body: parsed(await readLimited(answer)) };
    } finally {
      token.wipe();
      payload?.fill(0);
    }
  }
}

const JSON_PATCH = 'application/json-patch+json';

async function readLimited(body: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Error('the answer of the API server is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** What is no JSON is not quoted: it may be anything. */
function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** What an answer that is no success says of itself: a `Status` has a message, which names objects and no contents. */
export function failure(doing: string, { status, body }: ApiAnswer): Error {
  const message = typeof body === 'object' && body !== null && 'message' in body ? body.message : undefined;
  const reason = typeof message === 'string' ? `: ${message.slice(0, REASON_CHARACTERS_MAX)}` : '';
  return new Error(`${doing}: the API server answered ${status}${reason}`);
}
