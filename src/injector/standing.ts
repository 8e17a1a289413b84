import { normalize } from 'node:path/posix';
import { isIdentityVariable } from './identity-variables.ts';
import { PATHS } from './names.ts';

/**
 * Whether a part stands in a pod as the injector writes it. A pod comes again after other webhooks changed it, and its
 * author may have written the part by hand: so each key is looked at, and what nobody knows is a difference.
 */

type Plain = Readonly<Record<string, unknown>>;

/** What the cluster may change or add: amounts (LimitRange, autoscalers), and defaults that follow from them. */
const FREE_CONTAINER_KEYS = new Set(['resources', 'resizePolicy', 'env', 'volumeMounts']);
/** Tokens of the pod's service account, as the cluster and cloud providers mount them. */
const TOKEN_FOLDER = '/var/run/secrets/';
/** What is the sidecar's own below it. */
const OWN_FOLDERS = [PATHS.secret, PATHS.token];

/**
 * The first key of `found` that is not as in `wanted`; undefined where all is. `projected`: names of the volumes that are
 * made of tokens and the like, which no container writes.
 */
export function containerDifference(wanted: object, found: object, projected: ReadonlySet<string>): string | undefined {
  const [ours, theirs] = [wanted as Plain, found as Plain];
  for (const key of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
    if (!FREE_CONTAINER_KEYS.has(key) && !isSame(ours[key], theirs[key])) return key;
  }
  if (!isSameEnvironment(listOf(ours['env']), listOf(theirs['env']))) return 'env';
  const isSameFolders = isSameMounts(listOf(ours['volumeMounts']), listOf(theirs['volumeMounts']), projected);
  return isSameFolders ? undefined : 'volumeMounts';
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
    if (ours === undefined ? !isIdentityVariable(variable, isTokenPath) : !isSame(ours, variable)) return false;
  }
  return wanted.every(({ name }) => found.some((variable) => variable['name'] === name));
}

function isSameMounts(wanted: readonly Plain[], found: readonly Plain[], projected: ReadonlySet<string>): boolean {
  const known = new Map(wanted.map((mount) => [mount['mountPath'], mount]));
  for (const mount of found) {
    const ours = known.get(mount['mountPath']);
    if (ours === undefined ? !isToken(mount, projected) : !isSame(ours, mount)) return false;
  }
  return wanted.every(({ mountPath }) => found.some((mount) => mount['mountPath'] === mountPath));
}

function isToken(mount: Plain, projected: ReadonlySet<string>): boolean {
  const { name, mountPath, readOnly, ...others } = mount;
  const isWhole = Object.keys(others).every((key) => key === 'recursiveReadOnly');
  return isWhole && readOnly === true && typeof name === 'string' && projected.has(name) && isTokenPath(mountPath);
}

/** Kubernetes takes `..` in the path of a mount: it could end at the program, or at what is the sidecar's own. */
function isTokenPath(path: unknown): boolean {
  if (typeof path !== 'string' || !path.startsWith(TOKEN_FOLDER) || path === TOKEN_FOLDER) return false;
  if (normalize(path) !== path) return false;
  return OWN_FOLDERS.every((own) => path !== own && !path.startsWith(`${own}/`));
}
