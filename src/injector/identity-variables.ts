/** What the identity webhooks of EKS and AKS give to every container, and the values that they give. */

const REGION = /^[a-z]{2,8}(-[a-z]{2,16}){1,3}-[0-9]{1,2}$/;
const GUID = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;

/**
 * A value decides whom the sidecar trusts, what it reads and where it sends that: a container's address of loopback, or a
 * token file among its Secrets, would hand them to the agent. `file`: a path below the folder of tokens.
 */
const VALUES: ReadonlyMap<string, RegExp | 'file'> = new Map<string, RegExp | 'file'>([
  ['AWS_ROLE_ARN', /^arn:aws[a-z-]{0,16}:iam::[0-9]{12}:role\/[\w+=,.@/-]{1,576}$/],
  ['AWS_WEB_IDENTITY_TOKEN_FILE', 'file'],
  ['AWS_REGION', REGION],
  ['AWS_DEFAULT_REGION', REGION],
  ['AWS_STS_REGIONAL_ENDPOINTS', /^(regional|legacy)$/],
  // The agent of EKS Pod Identity, at its two addresses of the node.
  ['AWS_CONTAINER_CREDENTIALS_FULL_URI', /^http:\/\/(169\.254\.170\.23|\[fd00:ec2::23\])\/v1\/credentials$/],
  ['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE', 'file'],
  ['AZURE_CLIENT_ID', GUID],
  ['AZURE_TENANT_ID', GUID],
  ['AZURE_FEDERATED_TOKEN_FILE', 'file'],
  [
    'AZURE_AUTHORITY_HOST',
    /^https:\/\/(login\.microsoftonline\.(com|us|de)|login\.chinacloudapi\.cn|login\.partner\.microsoftonline\.cn)\/?$/,
  ],
]);

/** Whether a variable of a container is one that such a webhook writes. */
export function isIdentityVariable(variable: object, isTokenFile: (path: string) => boolean): boolean {
  const { name, value, ...others } = variable as { name?: unknown; value?: unknown };
  if (typeof name !== 'string' || typeof value !== 'string' || Object.keys(others).length > 0) return false;
  const allowed = VALUES.get(name);
  return allowed === 'file' ? isTokenFile(value) : allowed !== undefined && allowed.test(value);
}
