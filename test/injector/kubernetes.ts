import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { issueAuthority } from '../../src/certificate/authority.ts';
import { issueServerIdentity } from '../../src/certificate/server.ts';
import { canary, keepArtefact } from '../canary.ts';
import { applyPatch, type Step } from './json-patch.ts';

const SECRETS = '/api/v1/namespaces/secretless/secrets';
export const SECRET_PATH = `${SECRETS}/secretless-injector-tls`;
export const WEBHOOK_PATH = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/secretless-injector';
/** Of the command, for what this cluster has. */
export const WORDS = [
  ...['--service', 'secretless-injector', '--namespace', 'secretless'],
  ...['--secret', 'secretless-injector-tls', '--webhook', 'secretless-injector'],
];

interface KubernetesObject {
  metadata: { name: string; resourceVersion: string };
  data?: Record<string, string>;
  webhooks?: { name: string; clientConfig: { caBundle?: string } }[];
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly status: number;
}

/**
 * The API of a cluster, as far as the injector calls it: objects with versions, 409 for whoever comes late, tokens that
 * change. Whoever opens it closes it.
 */
export class Cluster {
  readonly folder = mkdtempSync(join(tmpdir(), 'sl-injector-sa-'));
  readonly objects = new Map<string, KubernetesObject>();
  readonly calls: Call[] = [];
  /** Every bundle that stood in the webhook configuration, in PEM. */
  readonly bundles: string[] = [];
  /** Called before each call is done. */
  before: (method: string, path: string) => Promise<void> | void = () => undefined;
  /** What `/version` answers. */
  version: unknown = { major: '1', minor: '33' };
  mayCreate = false;
  #token = '';
  #serial = 100;
  readonly #close: () => void;
  readonly env: NodeJS.ProcessEnv;

  private constructor(server: ReturnType<typeof createServer>) {
    const { port } = server.address() as AddressInfo;
    this.env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(port) };
    this.#close = () => {
      server.closeAllConnections();
      server.close();
    };
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void this.#serve(request, response));
    this.changeToken();
    this.objects.set(SECRET_PATH, { metadata: this.#metadata('secretless-injector-tls') });
    this.objects.set(WEBHOOK_PATH, {
      metadata: this.#metadata('secretless-injector'),
      webhooks: [
        { name: 'pods.injector.secretless.dev', clientConfig: {} },
        { name: 'cyberark.injector.secretless.dev', clientConfig: {} },
      ],
    });
  }

  static async open(): Promise<Cluster> {
    const authority = await issueAuthority('Cluster');
    const { certificate, key } = await issueServerIdentity(authority, ['127.0.0.1']);
    const server = createServer({ cert: certificate, key });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const cluster = new Cluster(server);
    writeFileSync(join(cluster.folder, 'ca.crt'), authority.certificate);
    return cluster;
  }

  close(): void {
    this.#close();
    rmSync(this.folder, { recursive: true });
  }

  get words(): string[] {
    return [...WORDS, '--service-account', this.folder];
  }

  /** As a kubelet does: from now on only the new one counts. */
  changeToken(): void {
    this.#token = canary();
    writeFileSync(join(this.folder, 'token'), this.#token);
  }

  /** PEM that API servers trust now. */
  get trusted(): string {
    const webhooks = this.objects.get(WEBHOOK_PATH)!.webhooks!;
    const bundles = new Set(webhooks.map(({ clientConfig }) => clientConfig.caBundle ?? ''));
    if (bundles.size !== 1) throw new Error('the webhooks have different bundles');
    return Buffer.from([...bundles][0]!, 'base64').toString();
  }

  secret(key: string): string {
    return Buffer.from(this.objects.get(SECRET_PATH)?.data?.[key] ?? '', 'base64').toString();
  }

  statuses(method: string): number[] {
    return this.calls.filter((call) => call.method === method).map(({ status }) => status);
  }

  #metadata(name: string): KubernetesObject['metadata'] {
    return { name, resourceVersion: String((this.#serial += 1)) };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url: path = '' } = request;
    const body = await text(request);
    await this.before(method, path);
    const isKnown = request.headers.authorization === `Bearer ${this.#token}`;
    const [status, answer] = isKnown ? this.#answer(method, path, body) : refused(401, 'Unauthorized');
    this.calls.push({ method, path, status });
    keepArtefact('kubernetes', `${method} ${path} ${status}`);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  #answer(method: string, path: string, body: string): [number, unknown] {
    if (path === '/version') return [200, this.version];
    if (method === 'POST' && path === SECRETS) return this.#create(JSON.parse(body) as KubernetesObject);
    const found = this.objects.get(path);
    if (found === undefined) return refused(404, `${path} not found`);
    if (method === 'GET') return [200, found];
    const changed =
      method === 'PUT'
        ? (JSON.parse(body) as KubernetesObject)
        : (applyPatch(found, JSON.parse(body) as Step[]) as KubernetesObject);
    if (changed.metadata.resourceVersion !== found.metadata.resourceVersion) return refused(409, 'object was modified');
    const kept = { ...changed, metadata: this.#metadata(found.metadata.name) };
    this.objects.set(path, kept);
    if (path === WEBHOOK_PATH) this.bundles.push(this.trusted);
    return [200, kept];
  }

  #create(object: KubernetesObject): [number, unknown] {
    if (!this.mayCreate) return refused(403, 'secrets is forbidden: cannot create resource');
    const path = `${SECRETS}/${object.metadata.name}`;
    if (this.objects.has(path)) return refused(409, 'already exists');
    const kept = { ...object, metadata: this.#metadata(object.metadata.name) };
    this.objects.set(path, kept);
    return [201, kept];
  }
}

function refused(code: number, message: string): [number, unknown] {
  return [code, { apiVersion: 'v1', kind: 'Status', status: 'Failure', code, message }];
}
