import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Secret } from '../../credential/secret.ts';
import { SidecarError } from '../../error.ts';

/** Where a pod has its token, and the authority of the API server. */
export const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
const TOKEN_BYTES_MAX = 64 * 1024;

export interface Cluster {
  /** `https://10.0.0.1:443`. */
  readonly origin: string;
  /** Folder with `token` and `ca.crt`. */
  readonly folder: string;
}

/**
 * The cluster that this pod runs in, by the variables that a kubelet sets. Errors: `config-invalid` where this is no pod.
 */
export function ownCluster(env: NodeJS.ProcessEnv, folder: string): Cluster {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'];
  if (host === undefined || port === undefined || !/^\d{1,5}$/.test(port)) {
    const detail = 'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod of Kubernetes';
    throw new SidecarError('config-invalid', { detail, next: 'run it in a pod, or give --tls-cert and --tls-key' });
  }
  return { origin: `https://${host.includes(':') ? `[${host}]` : host}:${port}`, folder };
}

/** Read anew for each use: the kubelet replaces it before it ends. */
export async function readToken({ folder }: Cluster): Promise<Secret> {
  const bytes = await readFile(join(folder, 'token'));
  try {
    if (bytes.length > TOKEN_BYTES_MAX) throw new Error('the token of the service account is too large');
    return new Secret(bytes);
  } finally {
    bytes.fill(0);
  }
}

export async function readAuthorities({ folder }: Cluster): Promise<Buffer> {
  return await readFile(join(folder, 'ca.crt'));
}
