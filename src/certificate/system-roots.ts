import { hash, X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { getCACertificates } from 'node:tls';
import { pem } from './certificate.ts';

/** Where systems keep the roots they trust, in one file: Debian, Red Hat, SUSE, Alpine and the BSDs, macOS. */
const SYSTEM_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/ssl/cert.pem',
  '/usr/local/etc/ssl/cert.pem',
  '/usr/local/share/certs/ca-root-nss.crt',
] as const;

/** In these the operator names roots in place of the system's. */
const REPLACING = ['SSL_CERT_FILE', 'NIX_SSL_CERT_FILE'] as const;
/** In these, roots for one tool. A client that is told to trust our bundle instead must not lose them. */
const ADDING = [
  'NODE_EXTRA_CA_CERTS',
  'REQUESTS_CA_BUNDLE',
  'CURL_CA_BUNDLE',
  'GIT_SSL_CAINFO',
  'PIP_CERT',
  'AWS_CA_BUNDLE',
  'CARGO_HTTP_CAINFO',
  'DENO_CERT',
  'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE',
] as const;

/** The largest bundles have less than a tenth of it. */
const BUNDLE_BYTES_MAX = 16 * 1024 * 1024;
const BLOCK = /-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----/g;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * PEM of the roots that clients of this machine trust: those of the operator's `SSL_CERT_FILE`, else the system's, else
 * Node's own; and those that the environment names for single tools. Only certificates are taken from these files,
 * each once. What cannot be read is passed over.
 */
export async function systemBundle(environment: Environment = process.env): Promise<string> {
  return joinBundle(await systemRoots(environment));
}

/** The same, each root as DER. */
export async function systemRoots(environment: Environment): Promise<readonly Buffer[]> {
  const base = await firstReadable([...named(environment, REPLACING), ...SYSTEM_FILES]);
  const added = await Promise.all(named(environment, ADDING).map(readCertificates));
  return distinct([...(base ?? bundledRoots()), ...added.flat()]);
}

/** PEM of all, in this order. */
export function joinBundle(certificates: readonly Buffer[]): string {
  return certificates.map(pem).join('');
}

/** Each once, by its content. */
export function distinct(certificates: readonly Buffer[]): readonly Buffer[] {
  return [...new Map(certificates.map((raw) => [hash('sha256', raw, 'base64'), raw])).values()];
}

function named(environment: Environment, variables: readonly string[]): readonly string[] {
  return variables.map((variable) => environment[variable] ?? '').filter((path) => path !== '');
}

async function firstReadable(paths: readonly string[]): Promise<readonly Buffer[] | undefined> {
  for (const path of paths) {
    const found = await readCertificates(path);
    if (found.length > 0) return found;
  }
  return undefined;
}

async function readCertificates(path: string): Promise<readonly Buffer[]> {
  const text = await readText(path).catch(() => undefined);
  const blocks = text?.match(BLOCK) ?? [];
  return blocks.flatMap((block) => {
    try {
      return [new X509Certificate(block).raw];
    } catch {
      return [];
    }
  });
}

async function readText(path: string): Promise<string | undefined> {
  // O_NONBLOCK: a pipe must not wait for its writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > BUNDLE_BYTES_MAX) return undefined;
    return await file.readFile('latin1');
  } finally {
    await file.close();
  }
}

/** Node's, and what a keychain adds to them where there is no file. */
function bundledRoots(): readonly Buffer[] {
  const system = process.platform === 'linux' ? [] : getCACertificates('system');
  return [...getCACertificates('bundled'), ...system].map((text) => new X509Certificate(text).raw);
}
