import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { issueAuthority } from '../../src/certificate/authority.ts';
import { issueServerIdentity } from '../../src/certificate/server.ts';
import { keepArtefact } from '../canary.ts';
import { freePorts } from '../process-rig.ts';
import { applyPatch, type Step } from './json-patch.ts';
import type { PodObject } from './pods.ts';

const ENTRY = fileURLToPath(new URL('../../src/cli/secretless.ts', import.meta.url));
export const HOST = 'secretless-injector.secretless.svc';
export const IMAGE = 'ghcr.io/secretless-sidecar/secretless-sidecar:1.2.3';
const PATIENCE_MS = 30_000;

export interface Webhook {
  readonly child: ChildProcess;
  readonly port: number;
  readonly telemetry: string;
  readonly folder: string;
  log(): string;
  /** Resolves when `/readyz` says yes. */
  ready(): Promise<void>;
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

/** The real command, with `words` behind its addresses. Whoever starts it ends it. */
export async function startWebhook(words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Webhook> {
  const folder = mkdtempSync(join(tmpdir(), 'sl-injector-'));
  const [port, health] = (await freePorts(2)) as [number, number];
  const addresses = ['--listen', `tcp://127.0.0.1:${port}`, '--telemetry', `tcp://127.0.0.1:${health}`];
  const args = ['--conditions=secretless-source', ENTRY, 'injector', ...addresses, '--image', IMAGE, ...words];
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'], HOME: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => keepArtefact('stdout', chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk));
  const closed = once(child, 'close').then(([code]) => {
    keepArtefact('stderr', printed);
    rmSync(folder, { recursive: true, force: true });
    return code as number | null;
  });
  const telemetry = `http://127.0.0.1:${health}`;
  return {
    child,
    port,
    telemetry,
    folder,
    log: () => printed,
    async ready() {
      for (const until = Date.now() + PATIENCE_MS; Date.now() < until; await pause()) {
        const answer = await fetch(`${telemetry}/readyz`).catch(() => undefined);
        if (answer?.status === 200) return;
        if (child.exitCode !== null) break;
      }
      throw new Error(`it is not ready: ${printed}`);
    },
    end(signal = 'SIGKILL') {
      child.kill(signal);
      return closed;
    },
  };
}

export function pause(ms = 50): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A certificate for the webhook in two files. */
export async function certificateFiles(
  folder: string,
): Promise<{ ca: string; words: string[]; renew(): Promise<string> }> {
  const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
  async function renew(): Promise<string> {
    const authority = await issueAuthority('Test Authority');
    const identity = await issueServerIdentity(authority, [HOST]);
    writeFileSync(files.key, identity.key, { mode: 0o600 });
    writeFileSync(files.cert, identity.certificate);
    return authority.certificate;
  }
  return { ca: await renew(), words: ['--tls-cert', files.cert, '--tls-key', files.key], renew };
}

export interface Response {
  readonly status: number;
  readonly body: string;
  /** Whether it came on a connection that was open already. */
  readonly reused: boolean;
}

/** An API server, as far as it calls webhooks. */
export class Caller {
  readonly #port: number;
  readonly #agent: Agent;

  constructor(port: number, ca: string, { keepAlive = true } = {}) {
    this.#port = port;
    this.#agent = new Agent({ keepAlive, maxSockets: keepAlive ? 4 : Infinity, ca, servername: HOST });
  }

  post(
    body: string | Uint8Array,
    headers: Record<string, string> = {},
    path = '/mutate?timeout=5s',
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const asked = request(
        {
          host: '127.0.0.1',
          port: this.#port,
          path,
          method: 'POST',
          agent: this.#agent,
          headers: { 'content-type': 'application/json', host: HOST, ...headers },
        },
        (answer) => {
          text(answer).then(
            (body) => resolve({ status: answer.statusCode!, body, reused: asked.reusedSocket }),
            reject,
          );
        },
      );
      asked.on('error', reject);
      asked.end(body);
    });
  }

  async review(object: unknown, more: object = {}): Promise<Reviewed> {
    const answer = await this.post(JSON.stringify(review(object, more)));
    keepArtefact('downstream', answer.body);
    if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.body}`);
    return readReview(object, answer.body);
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** A webhook that serves a certificate from files, and an API server that trusts it. */
export interface Stage {
  readonly webhook: Webhook;
  readonly api: Caller;
  /** PEM of the authority that is trusted. */
  readonly ca: string;
  close(): Promise<void>;
}

/** `words`: behind those of the certificate. Whoever opens it closes it. */
export async function openStage(...words: string[]): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'sl-injector-tls-'));
  const files = await certificateFiles(folder);
  const webhook = await startWebhook([...files.words, '--native', 'true', ...words]);
  const api = new Caller(webhook.port, files.ca);
  await webhook.ready();
  return {
    webhook,
    api,
    ca: files.ca,
    async close() {
      api.close();
      await webhook.end();
      rmSync(folder, { recursive: true });
    },
  };
}

export const UID = '705ab4f5-6393-11e8-b7cc-42010a800002';

/** As kube-apiserver writes it. */
export function review(object: unknown, more: object = {}): object {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: UID,
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      requestKind: { group: '', version: 'v1', kind: 'Pod' },
      requestResource: { group: '', version: 'v1', resource: 'pods' },
      namespace: 'apps',
      operation: 'CREATE',
      userInfo: { username: 'somebody', groups: ['system:authenticated'] },
      object,
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
      ...more,
    },
  };
}

export interface Reviewed {
  readonly allowed: boolean;
  /** Undefined where nothing is changed. */
  readonly steps: readonly Step[] | undefined;
  /** The pod as it is then. */
  readonly pod: PodObject;
  readonly warnings: readonly string[];
  readonly code: number | undefined;
  readonly message: string;
}

interface ReviewBody {
  readonly apiVersion: string;
  readonly kind: string;
  readonly response: {
    readonly uid: string;
    readonly allowed: boolean;
    readonly patch?: string;
    readonly patchType?: string;
    readonly warnings?: readonly string[];
    readonly status?: { readonly code: number; readonly message: string };
  };
}

export function readReview(object: unknown, body: string): Reviewed {
  const { apiVersion, kind, response } = JSON.parse(body) as ReviewBody;
  if (apiVersion !== 'admission.k8s.io/v1' || kind !== 'AdmissionReview') throw new Error('no review');
  if ((response.patch === undefined) !== (response.patchType === undefined)) throw new Error('half a patch');
  if (!response.allowed && response.patch !== undefined) throw new Error('a patch for a pod that is denied');
  const { patch, warnings = [], allowed, status } = response;
  const steps = patch === undefined ? undefined : (JSON.parse(Buffer.from(patch, 'base64').toString()) as Step[]);
  const changed = (steps === undefined ? object : applyPatch(object, steps)) as PodObject;
  return { allowed, steps, pod: changed, warnings, code: status?.code, message: status?.message ?? '' };
}
