/** Files that make a program trust the sidecar's own authority, by absolute path. */
export interface TrustPaths {
  /** PEM: what a program adds to the authorities it trusts anyway. */
  readonly extra: string;
  /** PEM: the system's authorities and ours, for programs that trust this file alone. */
  readonly bundle: string;
  /** PKCS#12: the same for Java. */
  readonly trustStore: string;
  /** Not secret: the file holds certificates. */
  readonly trustStorePassword: string;
}

/**
 * Variables that name the bundle, and who reads them. A program that reads one forgets the system's own store, which is
 * why the bundle has that too. Each is named by the documentation of the program; none is a guess.
 */
const BUNDLE_VARIABLES: Readonly<Record<string, string>> = {
  SSL_CERT_FILE:
    'OpenSSL and what uses its defaults: Python ssl, httpx, Ruby, PHP streams; Go on Linux; rustls-native-certs, uv',
  CURL_CA_BUNDLE: 'curl',
  REQUESTS_CA_BUNDLE: 'Python requests, and Azure CLI',
  PIP_CERT: 'pip',
  GIT_SSL_CAINFO: 'git',
  AWS_CA_BUNDLE: 'AWS CLI and SDKs',
  CARGO_HTTP_CAINFO: 'cargo',
  NIX_SSL_CERT_FILE: 'Nix, and programs built by it',
  CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE: 'gcloud',
  GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: 'gRPC in C, C++, Python, Ruby, PHP and JavaScript',
  npm_config_cafile: 'npm, pnpm and Yarn 1',
  BUNDLE_SSL_CA_CERT: 'Bundler',
  CONDA_SSL_VERIFY: 'conda',
  COMPOSER_CAFILE: 'Composer',
  HTTPLIB2_CA_CERTS: 'Python httplib2',
  HEX_CACERTS_PATH: 'Hex',
  JULIA_SSL_CA_ROOTS_PATH: 'Julia',
  PERL_LWP_SSL_CA_FILE: 'Perl LWP',
  SYSTEM_CERTIFICATE_PATH: 'Haskell x509-system',
};

/** Variables that name authorities which are added to those that the program brings. */
const EXTRA_VARIABLES: Readonly<Record<string, string>> = {
  NODE_EXTRA_CA_CERTS: 'Node, Bun, Electron, Yarn from 2 on',
  DENO_CERT: 'Deno',
};

/** Every variable of `trustVariables`, with the programs that read it. */
export const TRUST_READERS: ReadonlyMap<string, string> = new Map(
  Object.entries({ ...EXTRA_VARIABLES, ...BUNDLE_VARIABLES }),
);

export function trustVariables({ extra, bundle }: TrustPaths): Record<string, string> {
  const naming = (variables: object, path: string) => Object.keys(variables).map((name) => [name, path] as const);
  return Object.fromEntries([...naming(EXTRA_VARIABLES, extra), ...naming(BUNDLE_VARIABLES, bundle)]);
}
