import { Agent } from 'undici';

/** The request of the SDK, as far as it is used here. */
interface SdkRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

interface SdkResponse {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

/** STS answers in 3 KB. */
const ANSWER_BYTES_MAX = 256 * 1024;

/**
 * Carries the requests of one SDK client over undici, as everything else of the sidecar is. `signal` ends them all, since
 * the SDK hands none to the clients that it makes itself.
 */
export class UndiciHandler {
  readonly metadata = { handlerProtocol: 'http/1.1' };
  readonly #agent: Agent;
  readonly #signal: AbortSignal;

  constructor(timeoutSeconds: number, signal: AbortSignal) {
    const milliseconds = timeoutSeconds * 1000;
    this.#signal = signal;
    this.#agent = new Agent({
      connect: { timeout: milliseconds },
      headersTimeout: milliseconds,
      bodyTimeout: milliseconds,
    });
  }

  async handle(request: SdkRequest): Promise<{ response: SdkResponse }> {
    const { host: _, ...headers } = request.headers;
    const {
      statusCode,
      headers: received,
      body,
    } = await this.#agent.request({
      origin: originOf(request),
      path: pathOf(request),
      method: request.method,
      headers: { ...headers, host: request.headers['host'] ?? hostOf(request) },
      body: (request.body as string | Uint8Array | undefined) ?? null,
      signal: this.#signal,
    });
    const flat = Object.entries(received).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : value,
    ]);
    return {
      response: { statusCode, headers: Object.fromEntries(flat) as Record<string, string>, body: await readAll(body) },
    };
  }

  updateHttpClientConfig(): void {
    // What may be set is set by the constructor.
  }

  httpHandlerConfigs(): object {
    return {};
  }

  destroy(): void {
    void this.#agent.destroy();
  }
}

async function readAll(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > ANSWER_BYTES_MAX) throw new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function hostOf({ hostname, port }: SdkRequest): string {
  return port === undefined ? hostname : `${hostname}:${port}`;
}

function originOf(request: SdkRequest): string {
  return `${request.protocol}//${hostOf(request)}`;
}

function pathOf({ path, query = {} }: SdkRequest): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? (value as readonly string[]) : [value as string | null]).map((one) =>
      one === null ? encodeURIComponent(name) : `${encodeURIComponent(name)}=${encodeURIComponent(one)}`,
    ),
  );
  return pairs.length === 0 ? path : `${path}?${pairs.join('&')}`;
}
