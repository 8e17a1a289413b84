/**
 * Whether a part stands in a pod as the injector writes it. A pod comes again after other webhooks changed it, and its
 * author may have written the part by hand: so each key is looked at, and what nobody knows is a difference.
 */

type Plain = Readonly<Record<string, unknown>>;

/** What the cluster may change or add: amounts (LimitRange, autoscalers), and defaults that follow from them. */
const FREE_CONTAINER_KEYS = new Set(['resources', 'resizePolicy', 'env', 'volumeMounts']);
/** Tokens of the pod's service account, as the cluster and cloud providers mount them. */
const TOKEN_FOLDER = '/var/run/secrets/';
/** What the identity webhooks of EKS and AKS give to every container. */
const IDENTITY_VARIABLE =
  /^(AWS_(ROLE_ARN|WEB_IDENTITY_TOKEN_FILE|REGION|DEFAULT_REGION|STS_REGIONAL_ENDPOINTS|CONTAINER_CREDENTIALS_FULL_URI|CONTAINER_AUTHORIZATION_TOKEN_FILE)|AZURE_(CLIENT_ID|TENANT_ID|FEDERATED_TOKEN_FILE|AUTHORITY_HOST))$/;

/** The first key of `found` that is not as in `wanted`; undefined where all is. */
export function containerDifference(wanted: object, found: object): string | undefined {
  const [ours, theirs] = [wanted as Plain, found as Plain];
  for (const key of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
    if (!FREE_CONTAINER_KEYS.has(key) && !isSame(ours[key], theirs[key])) return key;
  }
  if (!isSameEnvironment(listOf(ours['env']), listOf(theirs['env']))) return 'env';
  return isSameMounts(listOf(ours['volumeMounts']), listOf(theirs['volumeMounts'])) ? undefined : 'volumeMounts';
}

/** Whether a volume stands as it is wanted. */
export function isSameVolume(wanted: object, found: object): boolean {
  return isSame(wanted, found);
}

/** Deep, but no deeper than `wanted` goes. */
function isSame(wanted: unknown, found: unknown): boolean {
  if (Array.isArray(wanted)) {
    if (!Array.isArray(found) || found.length !== wanted.length) return false;
    return wanted.every((item, at) => isSame(item, found[at]));
  }
  if (typeof wanted !== 'object' || wanted === null) return wanted === found;
  if (typeof found !== 'object' || found === null || Array.isArray(found)) return false;
  const [ours, theirs] = [wanted as Plain, found as Plain];
  const keys = new Set([...Object.keys(ours), ...Object.keys(theirs)]);
  return [...keys].every((key) => Object.hasOwn(ours, key) && isSame(ours[key], theirs[key]));
}

function listOf(value: unknown): readonly Plain[] {
  return Array.isArray(value) ? (value as readonly Plain[]) : [];
}

/** Of two variables of one name the last counts, so each must be as wanted. */
function isSameEnvironment(wanted: readonly Plain[], found: readonly Plain[]): boolean {
  const known = new Map(wanted.map((variable) => [variable['name'], variable]));
  for (const variable of found) {
    const ours = known.get(variable['name']);
    if (ours === undefined ? !IDENTITY_VARIABLE.test(String(variable['name'])) : !isSame(ours, variable)) return false;
  }
  return wanted.every(({ name }) => found.some((variable) => variable['name'] === name));
}

function isSameMounts(wanted: readonly Plain[], found: readonly Plain[]): boolean {
  const known = new Map(wanted.map((mount) => [mount['mountPath'], mount]));
  for (const mount of found) {
    const ours = known.get(mount['mountPath']);
    if (ours === undefined ? !isToken(mount) : !isSame(ours, mount)) return false;
  }
  return wanted.every(({ mountPath }) => found.some((mount) => mount['mountPath'] === mountPath));
}

function isToken({ mountPath, readOnly }: Plain): boolean {
  return readOnly === true && typeof mountPath === 'string' && mountPath.startsWith(TOKEN_FOLDER);
}
