import { once } from 'node:events';
import type { Server } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { exposePrivateKey } from '../certificate/key.ts';
import type { ListenAddress } from '../config/config.ts';
import { openTelemetryServer, type HealthStatus } from '../telemetry/health.ts';
import { listenOn } from '../telemetry/local-server.ts';
import type { Log } from '../telemetry/log.ts';
import { followFilePair, readFilePair, type FilePair, type FilePaths } from './certificate-files.ts';
import { IdentityKeeper } from './identity-keeper.ts';
import { InjectorMetrics } from './injector-metrics.ts';
import { KubernetesApi } from './kubernetes/api.ts';
import { ClusterObjects, type ObjectNames } from './kubernetes/objects.ts';
import { ownCluster } from './kubernetes/service-account.ts';
import { ClusterVersion } from './kubernetes/version.ts';
import type { MutateOptions } from './mutate.ts';
import { timesOf } from './rotation.ts';
import type { ServingIdentity } from './serving-identity.ts';
import { createWebhookServer } from './webhook-server.ts';

/** Where the certificate comes from. */
export type CertificateSource =
  /** Made here, and shared with the other replicas through the cluster. */
  | { readonly from: 'cluster'; readonly host: string; readonly names: ObjectNames; readonly lifeMs: number }
  | { readonly from: 'files'; readonly paths: FilePaths };

export interface InjectorOptions extends Omit<MutateOptions, 'native'> {
  readonly listen: ListenAddress;
  readonly telemetry: ListenAddress;
  readonly native: 'auto' | boolean;
  readonly certificate: CertificateSource;
  /** Folder of the token and the authorities of the API server. */
  readonly serviceAccount: string;
  /** How long new connections are taken after the end was asked for: endpoints are removed meanwhile. */
  readonly lingerMs: number;
  readonly env: NodeJS.ProcessEnv;
  readonly log: Log;
}

/** What reviews in flight get at the end. */
const DRAIN_MS = 10_000;

/** The webhook and what keeps it going. */
export class Injector {
  readonly #options: InjectorOptions;
  readonly #metrics = new InjectorMetrics();
  readonly #ending = new AbortController();
  readonly #server: Server;
  #native: () => boolean = () => true;
  #address: ListenAddress | undefined;
  #validUntil: Date | undefined;
  #isDraining = false;
  /** Rejects where the webhook cannot listen: whoever started it starts it again. */
  readonly #broken = Promise.withResolvers<never>();

  constructor(options: InjectorOptions) {
    this.#options = options;
    const native = (): boolean => this.#native();
    this.#server = createWebhookServer({ ...options, native, metrics: this.#metrics });
  }

  /** Resolves with the end of `signal`, drained. Errors: `config-invalid`, `address-unavailable`. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, telemetry: address, lingerMs } = this.#options;
    const telemetry = await openTelemetryServer({ address, metrics: this.#metrics, status: () => this.#status(), log });
    try {
      const ended = Promise.race([once(signal, 'abort'), this.#broken.promise]);
      // It is awaited below, where it may have happened already.
      ended.catch(() => undefined);
      await this.#start();
      if (!signal.aborted) await ended;
      this.#isDraining = true;
      log.info({ lingerMs }, 'ending');
      if (this.#address !== undefined) await this.#drain(lingerMs);
    } finally {
      this.#ending.abort();
      await telemetry.close();
    }
  }

  async #start(): Promise<void> {
    const { certificate, native } = this.#options;
    if (certificate.from === 'files' && native !== 'auto') this.#native = () => native;
    else await this.#join();
    if (certificate.from === 'files') await this.#serveFiles(certificate.paths);
  }

  /** Everything that takes the API of the cluster. */
  async #join(): Promise<void> {
    const { certificate, native, env, serviceAccount, log } = this.#options;
    const api = new KubernetesApi(ownCluster(env, serviceAccount));
    if (native === 'auto') {
      const version = new ClusterVersion(api, log);
      this.#native = () => version.native;
      await version.follow(this.#ending.signal);
    } else this.#native = () => native;
    if (certificate.from === 'files') return;
    const keeper = new IdentityKeeper({
      host: certificate.host,
      times: timesOf(certificate.lifeMs),
      objects: new ClusterObjects(api, certificate.names),
      log,
      onIdentity: (identity) => this.#serve(identity),
      onFailure: () => this.#metrics.roundFailed(),
    });
    void keeper.follow(this.#ending.signal);
  }

  async #serveFiles(paths: FilePaths): Promise<void> {
    const { log } = this.#options;
    const pair = await readFilePair(paths);
    this.#servePair(pair);
    void followFilePair(paths, pair.certificate, (next) => this.#servePair(next), log, this.#ending.signal);
  }

  #servePair({ certificate, key, validUntil }: FilePair): void {
    this.#setCertificate(certificate, key, validUntil);
    key.fill(0);
  }

  #serve({ certificate, key, validUntil }: ServingIdentity): void {
    exposePrivateKey(key, (pem) => this.#setCertificate(certificate, pem, validUntil));
  }

  /** New connections get it; those that are open live on with the old one. */
  #setCertificate(cert: string | Buffer, key: Buffer, validUntil: Date): void {
    this.#server.setSecureContext({ cert, key, minVersion: 'TLSv1.2' });
    this.#validUntil = validUntil;
    this.#metrics.certificateEnds(validUntil);
    if (this.#address !== undefined || this.#ending.signal.aborted) return;
    this.#address = this.#options.listen;
    listenOn(this.#server, this.#options.listen).then(
      (address) => {
        this.#address = address;
        this.#options.log.info({ address, until: validUntil }, 'ready');
      },
      (error: unknown) => this.#broken.reject(error as Error),
    );
  }

  #status(): HealthStatus {
    const reasons = [
      ...(this.#isDraining ? ['ending'] : []),
      ...(this.#server.listening ? [] : ['there is no certificate yet']),
      ...(this.#validUntil !== undefined && this.#validUntil <= new Date() ? ['the certificate has ended'] : []),
    ];
    return { live: true, ready: reasons.length === 0, reasons };
  }

  async #drain(lingerMs: number): Promise<void> {
    await sleep(lingerMs);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), DRAIN_MS);
    await closed;
    clearTimeout(timer);
  }
}
