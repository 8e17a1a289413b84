import type { Fetched, FetchContext, SecretStore } from '../../credential/store.ts';
import { SidecarError } from '../../error.ts';
import { AwsStore } from '../aws-credentials/aws-store.ts';
import { awsErrorName, fromSdk } from '../aws-credentials/failure.ts';
import { KeptSet, SYSTEM, type Surroundings } from '../aws-credentials/kept-set.ts';
import type { Minted } from '../aws-credentials/kept.ts';
import { TIMEOUT_SECONDS } from '../aws-credentials/options.ts';
import { readSeconds } from '../quantity.ts';
import { compactPolicy, dependsOnAgent, durationSeconds, isRole, problemOf, regionOf, templatesOf } from './options.ts';
import type { StsOptions } from './options.ts';
import { render, sessionName } from './session-name.ts';
import { assumeRole, assumeRoleWithWebIdentity, type Sts } from './sts.ts';
import { readTokenFile } from './token-file.ts';

/** Values of session tags (STS API reference, Tag). */
const TAG_VALUE = /^[\p{L}\p{Z}\p{N}_.:/=+@-]{0,256}$/u;
/** What STS says where the credentials that it was asked with are no good any more. */
const BASE_REFUSED = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidClientTokenId',
  'UnrecognizedClientException',
]);
const NOBODY: FetchContext = { service: '', agent: '' };

/** Sessions of roles, one for each role and whatever of agent and service the templates name. */
export class StsStore implements SecretStore {
  readonly perAgent: boolean;
  readonly #options: StsOptions;
  readonly #sts: Sts;
  readonly #base: AwsStore;
  readonly #kept: KeptSet;
  readonly #namesService: boolean;

  /** Errors: `config-invalid`. */
  constructor(options: StsOptions, surroundings: Surroundings = SYSTEM) {
    const region = regionOf(options);
    const problem = problemOf(options) ?? (region === undefined ? 'set `region`, or AWS_REGION' : undefined);
    if (problem !== undefined || region === undefined) {
      throw new SidecarError('config-invalid', { detail: `provider "aws-sts": ${problem}` });
    }
    const { endpoint, configFile, credentialsFile, timeout = TIMEOUT_SECONDS } = options;
    const timeoutSeconds = readSeconds(timeout);
    this.#options = options;
    this.#sts = { region, timeoutSeconds, ...(endpoint === undefined ? {} : { endpoint }) };
    this.#base = new AwsStore(
      {
        region,
        timeout: timeoutSeconds,
        ...(configFile === undefined ? {} : { configFile }),
        ...(credentialsFile === undefined ? {} : { credentialsFile }),
      },
      surroundings,
    );
    this.#kept = new KeptSet(timeoutSeconds, surroundings);
    this.perAgent = dependsOnAgent(options);
    this.#namesService = templatesOf(options).some((template) => template.includes('{service}'));
  }

  fetch(role: string, signal: AbortSignal, context: FetchContext = NOBODY): Promise<Fetched> {
    if (!isRole(role)) {
      return Promise.reject(new SidecarError('credential-missing', { detail: 'the id is not the ARN of a role' }));
    }
    return this.#kept.fetch(this.#key(role, context), (asking) => this.#mint(role, context, asking), signal);
  }

  forget(role: string, context: FetchContext = NOBODY): void {
    this.#kept.forget(this.#key(role, context));
  }

  async close(): Promise<void> {
    this.#kept.close();
    await this.#base.close();
  }

  #key(role: string, { agent, service }: FetchContext): string {
    return JSON.stringify([role, this.perAgent ? agent : undefined, this.#namesService ? service : undefined]);
  }

  async #mint(role: string, context: FetchContext, signal: AbortSignal): Promise<Minted> {
    const { sessionName: template = '{agent}', policyArns, webIdentityTokenFile } = this.#options;
    const policy = compactPolicy(this.#options);
    const session = {
      RoleArn: role,
      RoleSessionName: sessionName(render(template, context)),
      DurationSeconds: durationSeconds(this.#options),
      ...(policy === undefined ? {} : { Policy: policy }),
      ...(policyArns === undefined ? {} : { PolicyArns: policyArns.map((arn) => ({ arn })) }),
    };
    try {
      if (webIdentityTokenFile === undefined)
        return await this.#assume({ ...session, ...this.#extras(context) }, signal);
      const token = await readTokenFile(webIdentityTokenFile);
      return await assumeRoleWithWebIdentity(this.#sts, session, token, signal).finally(() => token.wipe());
    } catch (thrown) {
      throw fromSdk(thrown, 'STS');
    }
  }

  async #assume(input: Parameters<typeof assumeRole>[1], signal: AbortSignal): Promise<Minted> {
    const { base = 'default' } = this.#options;
    const keys = await this.#base.fetch(base, signal);
    try {
      return await assumeRole(this.#sts, input, keys, signal);
    } catch (thrown) {
      if (BASE_REFUSED.has(awsErrorName(thrown) ?? '')) this.#base.forget(base);
      throw thrown;
    }
  }

  /** What only a call that is signed may ask for. */
  #extras(context: FetchContext): Partial<Parameters<typeof assumeRole>[1]> {
    const { externalId, sourceIdentity, tags, transitiveTags } = this.#options;
    return {
      ...(externalId === undefined ? {} : { ExternalId: externalId }),
      ...(sourceIdentity === undefined ? {} : { SourceIdentity: sessionName(render(sourceIdentity, context)) }),
      ...(tags === undefined
        ? {}
        : { Tags: Object.entries(tags).map(([Key, value]) => ({ Key, Value: tagValue(value, context) })) }),
      ...(transitiveTags === undefined ? {} : { TransitiveTagKeys: transitiveTags }),
    };
  }
}

/** Policies compare tags, so that a changed name could be that of another agent: what does not fit is refused. */
function tagValue(template: string, context: FetchContext): string {
  const value = render(template, context);
  if (TAG_VALUE.test(value)) return value;
  throw new SidecarError('credential-unavailable', { detail: 'a session tag would hold what STS refuses in one' });
}
