import { Type, type Static } from '../../schema.ts';
import { CHAIN_ID_PATTERN } from '../aws-credentials/chain-id.ts';
import { ChainProperties, regionFromEnvironment } from '../aws-credentials/options.ts';
import { readSeconds } from '../quantity.ts';
import { namesAgent } from './session-name.ts';

/** Limits are those of the STS API reference (AssumeRole, AssumeRoleWithWebIdentity, Tag). */
const Template = (description: string) => Type.String({ minLength: 1, maxLength: 1024, description });
const TAG_KEY = '^[\\p{L}\\p{Z}\\p{N}_.:/=+@-]{1,128}$';

export const Options = Type.Object(
  {
    ...ChainProperties,
    base: Type.Optional(
      Type.String({ pattern: CHAIN_ID_PATTERN, description: 'Credentials that assume the role, as an id of `aws`' }),
    ),
    webIdentityTokenFile: Type.Optional(
      Type.String({ minLength: 1, description: 'Token that assumes the role instead; read again at each refresh' }),
    ),
    endpoint: Type.Optional(
      Type.String({ pattern: '^https?://[^/?#@\\s]+/?$', description: 'Default: the STS of the region' }),
    ),
    sessionName: Type.Optional(Template('`{agent}` and `{service}` are filled in; default `{agent}`')),
    sourceIdentity: Type.Optional(Template('As `sessionName`; default: none')),
    duration: Type.Optional(
      Type.Union(
        [Type.Integer({ minimum: 900, maximum: 43_200 }), Type.String({ pattern: '^[1-9][0-9]{0,4}(s|m|h)$' })],
        {
          description: 'Seconds, or a number with s, m or h; 15m to 12h',
        },
      ),
    ),
    externalId: Type.Optional(Type.String({ pattern: '^[\\w+=,.@:/-]{2,1224}$' })),
    tags: Type.Optional(
      Type.Unsafe<Readonly<Record<string, string>>>({
        type: 'object',
        maxProperties: 50,
        propertyNames: { pattern: TAG_KEY },
        additionalProperties: Template('`{agent}` and `{service}` are filled in'),
        description: 'Session tags',
      }),
    ),
    transitiveTags: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), { maxItems: 50, description: 'Names of tags that a next role keeps' }),
    ),
    policy: Type.Optional(
      Type.Unsafe<string | Readonly<Record<string, unknown>>>({
        type: ['string', 'object'],
        description: 'Session policy: JSON, as text or as a map',
      }),
    ),
    policyArns: Type.Optional(
      Type.Array(Type.String({ pattern: '^arn:[\\w-]+:iam::[\\w-]*:policy/.{1,512}$' }), { minItems: 1, maxItems: 10 }),
    ),
  },
  { additionalProperties: false },
);
export type StsOptions = Static<typeof Options>;

/** Account numbers have 12 digits at AWS; other stores that speak STS have names there, or nothing. */
const ROLE_ARN = /^arn:[a-z0-9-]{1,32}:iam::[\w-]{0,64}:role\/[\w+=,.@/-]{1,512}$/;

export function isRole(id: string): boolean {
  return ROLE_ARN.test(id);
}

export const POLICY_CHARACTERS_MAX = 2048;
export const DURATION_SECONDS = 3600;
const DURATION_SECONDS_MIN = 900;
const DURATION_SECONDS_MAX = 43_200;

/** What the schema cannot see; undefined where the options are right. */
export function problemOf(options: StsOptions): string | undefined {
  const { webIdentityTokenFile, base, externalId, sourceIdentity, tags, transitiveTags = [] } = options;
  const beside = { base, externalId, sourceIdentity, tags };
  const excluded = Object.entries(beside).find(([, value]) => value !== undefined);
  if (webIdentityTokenFile !== undefined && excluded !== undefined) {
    return `\`webIdentityTokenFile\` and \`${excluded[0]}\` exclude each other: a token has its own`;
  }
  const unknown = transitiveTags.find((name) => !Object.hasOwn(tags ?? {}, name));
  if (unknown !== undefined) return '`transitiveTags` names a tag that is not in `tags`';
  const seconds = durationSeconds(options);
  if (seconds < DURATION_SECONDS_MIN || seconds > DURATION_SECONDS_MAX) return '`duration` is between 15m and 12h';
  if (endpointIsClear(options.endpoint)) return '`endpoint` is https, or http on loopback';
  return policyProblem(options);
}

/** Where STS is; undefined where nobody says. */
export function regionOf({ region, endpoint }: StsOptions): string | undefined {
  // With an endpoint of its own, the region is only what is signed for.
  return region ?? regionFromEnvironment() ?? (endpoint === undefined ? undefined : 'us-east-1');
}

export function durationSeconds({ duration }: StsOptions): number {
  return duration === undefined ? DURATION_SECONDS : readSeconds(duration);
}

/** The session policy without blanks. */
export function compactPolicy({ policy }: StsOptions): string | undefined {
  if (policy === undefined) return undefined;
  return JSON.stringify(typeof policy === 'string' ? JSON.parse(policy) : policy);
}

/** True where what is fetched depends on the agent. */
export function dependsOnAgent(options: StsOptions): boolean {
  return templatesOf(options).some(namesAgent);
}

export function templatesOf({ sessionName = '{agent}', sourceIdentity = '', tags = {} }: StsOptions): string[] {
  return [sessionName, sourceIdentity, ...Object.values(tags)];
}

function policyProblem(options: StsOptions): string | undefined {
  try {
    const { length = 0 } = compactPolicy(options) ?? '';
    if (length <= POLICY_CHARACTERS_MAX) return undefined;
    return `\`policy\` has ${length} characters without its blanks: ${POLICY_CHARACTERS_MAX} at most`;
  } catch {
    return '`policy` is not JSON';
  }
}

function endpointIsClear(endpoint: string | undefined): boolean {
  if (endpoint === undefined || endpoint.startsWith('https:')) return false;
  return !/^http:\/\/(127(\.\d{1,3}){3}|localhost|\[::1\])(:\d+)?\/?$/.test(endpoint);
}
