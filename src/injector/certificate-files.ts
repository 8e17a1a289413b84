import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { asSidecarError, SidecarError } from '../error.ts';
import type { Log } from '../telemetry/log.ts';

/** A certificate chain and its key from files, as cert-manager mounts them. */
export interface FilePair {
  readonly certificate: Buffer;
  readonly key: Buffer;
  readonly validUntil: Date;
}

export interface FilePaths {
  readonly certificate: string;
  readonly key: string;
}

const FILE_BYTES_MAX = 64 * 1024;
/** A kubelet takes a minute anyway to bring a changed Secret. */
const LOOK_MS = 2_000;

/** Errors: `config-invalid` where one cannot be read, or they do not belong together. */
export async function readFilePair({ certificate, key }: FilePaths): Promise<FilePair> {
  try {
    const [chain, pem] = await Promise.all([readFile(certificate), readFile(key)]);
    if (Math.max(chain.length, pem.length) > FILE_BYTES_MAX) throw new Error('a file is larger than 64 KiB');
    const leaf = new X509Certificate(chain);
    if (!leaf.checkPrivateKey(createPrivateKey(pem))) throw new Error('the key is not the one of the certificate');
    return { certificate: chain, key: pem, validUntil: leaf.validToDate };
  } catch (cause) {
    const detail = `${certificate} and ${key} cannot be served: ${asSidecarError(cause).detail ?? 'unknown'}`;
    throw new SidecarError('config-invalid', { detail, next: 'give a certificate and its key, both PEM', cause });
  }
}

/** Calls `changed` with each new pair until `signal`. Files that change one after the other are no pair in between. */
export async function followFilePair(
  paths: FilePaths,
  served: Buffer,
  changed: (pair: FilePair) => void,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  let current = served;
  let complained = false;
  while (!signal.aborted) {
    await sleep(LOOK_MS, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const pair = await readFilePair(paths);
      complained = false;
      if (pair.certificate.equals(current)) {
        pair.key.fill(0);
        continue;
      }
      current = pair.certificate;
      changed(pair);
    } catch (error) {
      if (!complained) log.warn({ error }, 'the certificate files are not a pair: the old one is served');
      complained = true;
    }
  }
}
