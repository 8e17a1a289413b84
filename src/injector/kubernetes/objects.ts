import { guardOf } from '../../config/check-schema.ts';
import { Type, type Static } from '../../schema.ts';
import type { Operation } from '../json-patch.ts';
import { failure, type ApiAnswer, type KubernetesApi } from './api.ts';

const Metadata = Type.Object({ name: Type.String(), resourceVersion: Type.String() });

/** https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1/ */
const SecretSchema = Type.Object({
  metadata: Metadata,
  data: Type.Optional(Type.Record(Type.String(), Type.String())),
});

/** https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/mutating-webhook-configuration-v1/ */
const ConfigurationSchema = Type.Object({
  metadata: Metadata,
  webhooks: Type.Optional(
    Type.Array(
      Type.Object({ name: Type.String(), clientConfig: Type.Object({ caBundle: Type.Optional(Type.String()) }) }),
    ),
  ),
});

const isSecret = guardOf(SecretSchema);
const isConfiguration = guardOf(ConfigurationSchema);

export type SecretObject = Static<typeof SecretSchema>;
export type ConfigurationObject = Static<typeof ConfigurationSchema>;

/** Somebody else was faster: read again. */
export class Overtaken extends Error {
  override readonly name = 'Overtaken';
}

/** The two objects of the cluster that the injector looks after. */
export class ClusterObjects {
  readonly #api: KubernetesApi;
  readonly #secrets: string;
  readonly #name: string;
  readonly #namespace: string;
  readonly #configuration: string;

  constructor(api: KubernetesApi, names: ObjectNames) {
    this.#api = api;
    this.#namespace = names.namespace;
    this.#name = names.secret;
    this.#secrets = `/api/v1/namespaces/${encodeURIComponent(names.namespace)}/secrets`;
    const configuration = encodeURIComponent(names.configuration);
    this.#configuration = `/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/${configuration}`;
  }

  /** Undefined where there is none. */
  async readSecret(signal: AbortSignal): Promise<SecretObject | undefined> {
    const answer = await this.#api.get(this.#secretPath, signal);
    return answer.status === 404 ? undefined : expected(isSecret, 'reading the Secret', answer);
  }

  /** Puts `data` in place of all that `found` has; errors: `Overtaken`. */
  async writeSecret(
    found: SecretObject | undefined,
    data: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<void> {
    const metadata = { name: this.#name, namespace: this.#namespace };
    const body = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata, data };
    const answer =
      found === undefined
        ? await this.#api.create(this.#secrets, body, signal)
        : await this.#api.update(this.#secretPath, { ...found, data }, signal);
    if (answer.status === 409) throw new Overtaken();
    expected(isSecret, 'writing the Secret', answer);
  }

  async readConfiguration(signal: AbortSignal): Promise<ConfigurationObject> {
    return expected(
      isConfiguration,
      'reading the webhook configuration',
      await this.#api.get(this.#configuration, signal),
    );
  }

  /** Gives each webhook of it this `caBundle` (base64), where `found` is still the newest; errors: `Overtaken`. */
  async writeBundle(found: ConfigurationObject, caBundle: string, signal: AbortSignal): Promise<void> {
    const operations = (found.webhooks ?? []).map((_, at): Operation => {
      return { op: 'add', path: `/webhooks/${at}/clientConfig/caBundle`, value: caBundle };
    });
    // With the version in it, a patch fails with 409 where the object is a newer one by now.
    const version: Operation = {
      op: 'replace',
      path: '/metadata/resourceVersion',
      value: found.metadata.resourceVersion,
    };
    const answer = await this.#api.patch(this.#configuration, [version, ...operations], signal);
    if (answer.status === 409 || answer.status === 422) throw new Overtaken();
    expected(isConfiguration, 'writing the webhook configuration', answer);
  }

  get #secretPath(): string {
    return `${this.#secrets}/${encodeURIComponent(this.#name)}`;
  }
}

export interface ObjectNames {
  readonly namespace: string;
  readonly secret: string;
  /** Of the MutatingWebhookConfiguration. */
  readonly configuration: string;
}

function expected<Value>(isOne: (value: unknown) => value is Value, doing: string, { status, body }: ApiAnswer): Value {
  const isDone = status === 200 || status === 201;
  if (!isDone || !isOne(body)) throw failure(doing, { status, body });
  return body;
}
