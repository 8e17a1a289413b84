import type { AgentEnvironment, EnvironmentQuestion } from 'secretless-sidecar/connector';
import { type Config, WELL_KNOWN_KEY } from './config.ts';
import { endpointVariables } from './endpoint/variables.ts';

/**
 * Variables that win over the ones below, or lead an SDK to real credentials (AWS SDKs and Tools Reference Guide, "Standardized
 * credential providers").
 */
const UNSET = [
  'AWS_BEARER_TOKEN_BEDROCK',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_DEFAULT_PROFILE',
  'AWS_IGNORE_CONFIGURED_ENDPOINT_URLS',
  'AWS_PROFILE',
  'AWS_ROLE_ARN',
  'AWS_SESSION_TOKEN',
  'AWS_USE_DUALSTACK_ENDPOINT',
  'AWS_USE_FIPS_ENDPOINT',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
] as const;

/** What an agent's programs need, so that every AWS SDK of them comes here with the key of the agent. */
export function environmentOf(config: Config, question: EnvironmentQuestion): AgentEnvironment {
  const { url, target, region } = question;
  const key = keyOf(config, question);
  const where = region ?? config.region;
  if (where === undefined)
    return { problem: 'no region: write `region` in the config of the service, or ask with --region' };
  if (key === undefined) {
    return { problem: `no such agent: ask with --agent for ${Object.keys(config.agents ?? {}).join(' or ')}` };
  }
  return {
    set: {
      AWS_ACCESS_KEY_ID: key.accessKeyId,
      AWS_SECRET_ACCESS_KEY: key.secretAccessKey,
      // Python's SDK reads the second only, most others the first.
      AWS_REGION: where,
      AWS_DEFAULT_REGION: where,
      ...endpoints(config, url, target),
      AWS_EC2_METADATA_DISABLED: 'true',
      // A session of S3 Express would hand the real credentials of the session to the agent.
      AWS_S3_DISABLE_EXPRESS_SESSION_AUTH: 'true',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    },
    unset: url === undefined ? [...UNSET, 'AWS_ENDPOINT_URL', ...endpointVariables().map(({ name }) => name)] : UNSET,
  };
}

/** Each agent its own key, the well-known one where there are none. */
function keyOf({ agents }: Config, { agent, owner }: EnvironmentQuestion) {
  if (agents === undefined) return WELL_KNOWN_KEY;
  const wanted = agent ?? owner;
  if (Object.hasOwn(agents, wanted)) return agents[wanted];
  const [only, ...more] = Object.values(agents);
  return agent === undefined && more.length === 0 ? only : undefined;
}

function endpoints({ service }: Config, url: string | undefined, target: boolean): Record<string, string> {
  // Then the SDK calls AWS itself, and a proxy leads it here.
  if (url === undefined) return {};
  // A service with a target is one upstream: other services of AWS are not behind it.
  if (target && service !== undefined)
    return { [`AWS_ENDPOINT_URL_${service.toUpperCase().replaceAll('-', '_')}`]: url };
  const named = target ? [] : endpointVariables().map(({ name, prefix }) => [name, `${url}/_aws/${prefix}`] as const);
  return { AWS_ENDPOINT_URL: url, ...Object.fromEntries(named) };
}
