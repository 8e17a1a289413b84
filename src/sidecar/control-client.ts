import type { IncomingMessage } from 'node:http';
import { SidecarError } from '../error.ts';
import { request } from '../node-http.ts';
import type { SidecarStatus } from './state.ts';

const BODY_BYTES_MAX = 4 * 1024 * 1024;
/** The socket is not there, or nobody listens on it. */
const ABSENT = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTDIR']);

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** Asks the sidecar behind a control socket. Errors: `not-running`, `internal`; `config-invalid` for `reload`. */
export class ControlClient {
  readonly #path: string;
  readonly #timeoutMs: number;

  /** `timeoutMs` bounds one question and its answer. */
  constructor(path: string, timeoutMs = 5_000) {
    this.#path = path;
    this.#timeoutMs = timeoutMs;
  }

  async status(): Promise<SidecarStatus> {
    const { body } = await this.#ask('GET', '/v1/status');
    if (!isStatus(body)) throw this.#failed('answered with something that is not a status');
    return body;
  }

  /** Returns once the sidecar has begun to drain. */
  async stop(): Promise<void> {
    await this.#ask('POST', '/v1/stop');
  }

  async reload(): Promise<void> {
    await this.#ask('POST', '/v1/reload');
  }

  async #ask(method: 'GET' | 'POST', target: string): Promise<Answer> {
    const answer = await this.#exchange(method, target);
    if (answer.status < 300) return answer;
    const { code, detail } = answer.body as { code?: unknown; detail?: unknown };
    const words = typeof detail === 'string' ? detail : `status ${answer.status}`;
    if (code === 'config-invalid') throw new SidecarError('config-invalid', { detail: words });
    throw this.#failed(`refused ${target}: ${words}`);
  }

  #exchange(method: 'GET' | 'POST', target: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(this.#timeoutMs);
      const failed = (cause: NodeJS.ErrnoException): void => {
        if (ABSENT.has(cause.code ?? '')) reject(this.#absent());
        else if (signal.aborted) reject(this.#failed(`did not answer within ${this.#timeoutMs} ms`));
        else reject(this.#failed(cause.message, cause));
      };
      const exchange = request(
        {
          socketPath: this.#path,
          method,
          path: target,
          agent: false,
          signal,
          headers: { host: 'localhost', ...(method === 'POST' ? { 'content-type': 'application/json' } : {}) },
        },
        (response) =>
          void readJson(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), failed),
      );
      exchange.on('error', failed);
      exchange.end();
    });
  }

  #absent(): SidecarError {
    return new SidecarError('not-running', { detail: this.#path });
  }

  #failed(why: string, cause?: unknown): SidecarError {
    return new SidecarError('internal', { detail: `the control socket ${this.#path} ${why}`, cause });
  }
}

async function readJson(response: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new Error('answered with too many bytes');
    chunks.push(chunk);
  }
  const body: unknown = JSON.parse(Buffer.concat(chunks).toString());
  if (typeof body !== 'object' || body === null) throw new Error('answered with something that is not an object');
  return body;
}

/** Enough to know that it is one of ours: another version may tell more. */
function isStatus(body: unknown): body is SidecarStatus {
  const status = body as Partial<SidecarStatus>;
  return typeof status.pid === 'number' && typeof status.version === 'string' && typeof status.ready === 'boolean';
}
