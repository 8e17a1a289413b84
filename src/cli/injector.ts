import { parseAddress } from '../config/address.ts';
import type { ListenAddress } from '../config/config.ts';
import { Injector, type CertificateSource } from '../injector/injector.ts';
import { repositoryOf } from '../injector/image.ts';
import { isObjectName, PATHS } from '../injector/names.ts';
import type { EnvironmentVariable } from '../injector/plan.ts';
import type { Resources } from '../injector/sidecar-container.ts';
import { SERVICE_ACCOUNT_FOLDER } from '../injector/kubernetes/service-account.ts';
import { BUNDLE_FILE, TRUST_STORE_FILE } from '../certificate/trust.ts';
import { AUTHORITY_FILE } from '../certificate/interception.ts';
import { productVersion } from '../sidecar/version.ts';
import { openLog } from '../telemetry/log.ts';
import { defineCommand, UsageError, type Arguments } from './command.ts';
import { milliseconds } from './control-options.ts';
import { EXIT } from './exit.ts';
import { environmentChanges } from './run/environment.ts';
import { directHosts } from './run/proxy-variables.ts';

const OPTIONS = {
  listen: { type: 'string', value: 'address', meaning: 'of the webhook; default tcp://0.0.0.0:8443' },
  telemetry: { type: 'string', value: 'address', meaning: 'of probes and metrics; default tcp://0.0.0.0:5335' },
  image: { type: 'string', value: 'image', meaning: 'of the sidecars' },
  repository: {
    type: 'string',
    value: 'name',
    multiple: true,
    meaning: 'another repository that pods may take the image from',
  },
  host: {
    type: 'string',
    value: 'address',
    meaning: 'where sidecars answer probes: 0.0.0.0, or [::] under IPv6 alone',
  },
  resources: { type: 'string', value: 'json', meaning: 'requests and limits of the sidecars' },
  native: { type: 'string', value: 'auto|true|false', meaning: 'sidecars as init containers that go on running' },
  service: { type: 'string', value: 'name', meaning: 'Service of the webhook' },
  namespace: { type: 'string', value: 'name', meaning: 'where the Service and the Secret are' },
  secret: { type: 'string', value: 'name', meaning: 'Secret that keeps the certificate' },
  webhook: { type: 'string', value: 'name', meaning: 'MutatingWebhookConfiguration that gets the authority' },
  'certificate-days': { type: 'string', value: 'days', meaning: 'life of a certificate, at most 30' },
  'tls-cert': { type: 'string', value: 'file', meaning: 'a certificate that something else renews' },
  'tls-key': { type: 'string', value: 'file', meaning: 'its key' },
  'service-account': { type: 'string', value: 'folder', meaning: 'token and ca.crt of this pod' },
  linger: { type: 'string', value: 'seconds', meaning: 'accept so long after SIGTERM; default 5' },
  debug: { type: 'boolean', meaning: 'log at level debug' },
} as const;

type Values = Arguments<typeof OPTIONS>['values'];

export const command = defineCommand({
  name: 'injector',
  summary: 'the admission webhook that gives pods of Kubernetes their sidecar',
  usage: '--image name:tag (--service name … | --tls-cert file --tls-key file)',
  options: OPTIONS,
  async run({ values }, io) {
    const log = openLog({ level: values.debug === true ? 'debug' : 'info' });
    const image = readImage(values.image);
    const injector = new Injector({
      listen: readAddress('listen', values.listen ?? 'tcp://0.0.0.0:8443'),
      telemetry: readAddress('telemetry', values.telemetry ?? 'tcp://0.0.0.0:5335'),
      image,
      repositories: values.repository ?? [],
      resources: readResources(values.resources),
      host: readHost(values.host ?? '0.0.0.0'),
      native: readNative(values.native ?? 'auto'),
      certificate: readCertificate(values),
      serviceAccount: values['service-account'] ?? SERVICE_ACCOUNT_FOLDER,
      lingerMs: milliseconds('linger', values.linger, 5),
      version: productVersion(),
      agentEnvironment,
      env: io.env,
      log,
    });
    await injector.run(endOf(io.signal));
    return EXIT.ok;
  },
});

function readAddress(option: string, text: string): ListenAddress {
  const parsed = parseAddress(text);
  if ('problem' in parsed) throw new UsageError(`--${option}: ${parsed.problem}`);
  return parsed.address;
}

function readImage(text: string | undefined): string {
  if (text === undefined) throw new UsageError('--image is missing: the image of the sidecars');
  if (repositoryOf(text) === undefined) throw new UsageError(`--image: "${text}" is no name of an image`);
  return text;
}

function readHost(text: string): string {
  if (text === '0.0.0.0' || text === '[::]') return text;
  throw new UsageError(`--host is 0.0.0.0 or [::], not "${text}"`);
}

function readNative(text: string): 'auto' | boolean {
  if (text === 'auto') return text;
  if (text === 'true' || text === 'false') return text === 'true';
  throw new UsageError(`--native is auto, true or false, not "${text}"`);
}

const RESOURCES: Resources = { requests: { cpu: '50m', memory: '96Mi' }, limits: { memory: '256Mi' } };
const AMOUNT = /^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/;

function readResources(text: string | undefined): Resources {
  if (text === undefined) return RESOURCES;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new UsageError('--resources is no JSON');
  }
  if (!isResources(parsed)) throw new UsageError(`--resources looks like ${JSON.stringify(RESOURCES)}`);
  return parsed;
}

function isResources(value: unknown): value is Resources {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(([key, amounts]: [string, unknown]) => {
    if ((key !== 'requests' && key !== 'limits') || typeof amounts !== 'object' || amounts === null) return false;
    return Object.values(amounts).every((amount) => typeof amount === 'string' && AMOUNT.test(amount));
  });
}

const DAY_MS = 86_400_000;
const DAYS_MAX = 30;

function readCertificate(values: Values): CertificateSource {
  const { 'tls-cert': certificate, 'tls-key': key } = values;
  if (certificate !== undefined && key !== undefined) return { from: 'files', paths: { certificate, key } };
  if (certificate !== undefined || key !== undefined) throw new UsageError('--tls-cert and --tls-key go together');
  const days = Number(values['certificate-days'] ?? DAYS_MAX);
  if (!(days > 0 && days <= DAYS_MAX)) throw new UsageError(`--certificate-days is a number up to ${DAYS_MAX}`);
  const service = readName('service', values.service);
  const namespace = readName('namespace', values.namespace);
  return {
    from: 'cluster',
    host: `${service}.${namespace}.svc`,
    names: { namespace, secret: readName('secret', values.secret), configuration: readName('webhook', values.webhook) },
    lifeMs: days * DAY_MS,
  };
}

function readName(option: string, text: string | undefined): string {
  if (text === undefined) throw new UsageError(`--${option} is missing (or give --tls-cert and --tls-key)`);
  if (!isObjectName(text)) throw new UsageError(`--${option}: "${text}" is no name of an object`);
  return text;
}

/** What `secretless env` would print in the container. */
function agentEnvironment(port: number): readonly EnvironmentVariable[] {
  const trust = {
    extra: `${PATHS.share}/${AUTHORITY_FILE}`,
    bundle: `${PATHS.share}/${BUNDLE_FILE}`,
    trustStore: `${PATHS.share}/${TRUST_STORE_FILE}`,
    trustStorePassword: 'changeit',
  };
  const door = { host: '127.0.0.1', port, direct: directHosts([], []) };
  const { set } = environmentChanges({ env: {}, door, trust, secrets: [], services: [] });
  return Object.entries(set).map(([name, value]) => ({ name, value }));
}

/** SIGTERM and SIGINT end it after a while, a second one at once. */
function endOf(given: AbortSignal | undefined): AbortSignal {
  if (given !== undefined) return given;
  const controller = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(EXIT.internal);
      controller.abort();
    });
  }
  // They mean nothing here; their default is to kill.
  for (const signal of ['SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => undefined);
  return controller.signal;
}
