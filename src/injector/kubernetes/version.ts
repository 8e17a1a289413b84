import type { Log } from '../../telemetry/log.ts';
import { failure, type KubernetesApi } from './api.ts';

/** The first version in which native sidecars are on (KEP-753). */
const NATIVE_MINOR = 29;
const AGAIN_MS = 3_600_000;

/** What the cluster can, asked at the start and again each hour: clusters are upgraded. */
export class ClusterVersion {
  readonly #api: KubernetesApi;
  readonly #log: Log;
  #native = true;

  constructor(api: KubernetesApi, log: Log) {
    this.#api = api;
    this.#log = log;
  }

  /** Whether it knows init containers that go on running. Until it is known: yes, as all that are supported do. */
  get native(): boolean {
    return this.#native;
  }

  /** Resolves when it was asked once; then it is asked again until `signal`. */
  async follow(signal: AbortSignal): Promise<void> {
    await this.#ask(signal);
    const timer = setInterval(() => void this.#ask(signal), AGAIN_MS);
    timer.unref();
    signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  }

  async #ask(signal: AbortSignal): Promise<void> {
    try {
      const answer = await this.#api.get('/version', signal);
      const native = isNative(answer.body);
      if (answer.status !== 200 || native === undefined) throw failure('reading /version', answer);
      this.#native = native;
    } catch (error) {
      if (!signal.aborted) this.#log.warn({ error, native: this.#native }, 'the version of the cluster is not known');
    }
  }
}

/** Of `{major: '1', minor: '33+'}`; undefined where it is no such thing. */
export function isNative(body: unknown): boolean | undefined {
  if (typeof body !== 'object' || body === null || !('major' in body) || !('minor' in body)) return undefined;
  const [major, minor] = [body.major, body.minor].map((part) => /^\d{1,4}/.exec(String(part))?.[0]);
  if (major === undefined || minor === undefined) return undefined;
  return Number(major) > 1 || (Number(major) === 1 && Number(minor) >= NATIVE_MINOR);
}
