import { ORIGIN_HOST, PACKAGE, SEEN } from './origin.ts';

/** How one client is tried. */
export interface Probe {
  /** What is found on PATH. */
  readonly program: string;
  /** Of the finding, where one program is tried in several ways. */
  readonly name?: string;
  /** `url` is the origin, `folder` an empty folder of its own. */
  readonly words: (url: string, folder: string) => readonly string[];
  readonly env?: (url: string, folder: string) => Readonly<Record<string, string>>;
  /** Files in that folder, by name. */
  readonly files?: (url: string) => Readonly<Record<string, string>>;
  /** What it prints that got through. */
  readonly content: RegExp;
  /** What it prints where this machine lacks a part of it, so that nothing is known. */
  readonly absent?: RegExp;
  /** What to do where it does not trust us; the file is the one with all authorities. */
  readonly trust: (bundle: string) => string;
  /** What to do where it does not come through the proxy. */
  readonly proxy: string;
}

const ENVIRONMENT =
  'start it with the environment of `secretless run`, and look for settings of its own that name a proxy';

const JAVA = `import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
public class Probe {
  public static void main(String[] words) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(words[0])).build();
    System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
  }
}
`;

const variable = (name: string) => (bundle: string) =>
  `let ${name} name ${bundle}; a setting of its own may be in the way`;

export const PROBES: readonly Probe[] = [
  {
    program: 'curl',
    words: (url) => ['-sS', url],
    content: new RegExp(SEEN),
    trust: variable('CURL_CA_BUNDLE'),
    proxy: ENVIRONMENT,
  },
  {
    program: 'wget',
    words: (url) => ['-nv', '-t', '1', '-O', '-', url],
    content: new RegExp(SEEN),
    trust: (bundle) => `write \`ca_certificate = ${bundle}\` into ~/.wgetrc, or let WGETRC name a file that has it`,
    proxy: ENVIRONMENT,
  },
  {
    program: 'git',
    words: (url) => ['ls-remote', `${url}/${SEEN}.git`],
    env: () => ({ GIT_TERMINAL_PROMPT: '0' }),
    content: new RegExp(SEEN),
    trust: variable('GIT_SSL_CAINFO'),
    proxy: 'look for http.proxy in `git config --list`: it wins over the environment',
  },
  {
    program: 'node',
    words: (url) => ['-e', 'fetch(process.argv[1]).then((answer) => answer.text()).then(console.log)', url],
    content: new RegExp(SEEN),
    trust: (bundle) => `let NODE_EXTRA_CA_CERTS name ${bundle}`,
    proxy: 'use Node 22.21 or later: older ones do not know NODE_USE_ENV_PROXY',
  },
  {
    program: 'python3',
    name: 'python3 urllib',
    words: (url) => [
      '-c',
      'import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=15).read().decode())',
      url,
    ],
    content: new RegExp(SEEN),
    trust: variable('SSL_CERT_FILE'),
    proxy: ENVIRONMENT,
  },
  {
    program: 'python3',
    name: 'python3 requests',
    words: (url) => ['-c', 'import sys, requests; print(requests.get(sys.argv[1], timeout=15).text)', url],
    content: new RegExp(SEEN),
    absent: /No module named 'requests'/,
    trust: variable('REQUESTS_CA_BUNDLE'),
    proxy: ENVIRONMENT,
  },
  {
    program: 'pip',
    words: (url) => [
      'index',
      'versions',
      PACKAGE,
      '--index-url',
      `${url}/simple/`,
      '--disable-pip-version-check',
      '--no-cache-dir',
      '--retries',
      '0',
    ],
    env: () => ({ PIP_CONFIG_FILE: '/dev/null' }),
    content: new RegExp(`${PACKAGE} \\(1\\.0\\)`),
    absent: /unknown command "index"/,
    trust: variable('PIP_CERT'),
    proxy: ENVIRONMENT,
  },
  {
    program: 'npm',
    words: (url, folder) => [
      'view',
      PACKAGE,
      'description',
      '--registry',
      url,
      '--cache',
      folder,
      '--fetch-retries',
      '0',
    ],
    env: () => ({ npm_config_update_notifier: 'false' }),
    content: new RegExp(SEEN),
    trust: variable('npm_config_cafile'),
    proxy: 'look for proxy and https-proxy in `npm config list`: they win over the environment',
  },
  {
    program: 'go',
    words: () => ['list', '-m', '-versions', `${ORIGIN_HOST}/${PACKAGE}`],
    env: (url, folder) => ({
      GOPROXY: url,
      GONOSUMDB: '*',
      GONOSUMCHECK: '1',
      GOSUMDB: 'off',
      GONOPROXY: 'none',
      GOPRIVATE: '',
      GOTOOLCHAIN: 'local',
      GOPATH: folder,
      GOMODCACHE: `${folder}/mod`,
      GOFLAGS: '',
    }),
    files: () => ({ 'go.mod': 'module probe\n' }),
    content: /v1\.0\.0/,
    trust: (bundle) =>
      process.platform === 'darwin'
        ? 'programs in Go ask the keychain on macOS: `security add-trusted-cert -r trustRoot` the file that NODE_EXTRA_CA_CERTS names'
        : `let SSL_CERT_FILE name ${bundle}`,
    proxy: ENVIRONMENT,
  },
  {
    program: 'java',
    words: (url) => ['Probe.java', url],
    files: () => ({ 'Probe.java': JAVA }),
    content: new RegExp(SEEN),
    absent: /jdk\.compiler|could not find or load main class Probe\.java|error: invalid flag/i,
    trust: () => 'let JAVA_TOOL_OPTIONS be what `secretless env` prints: another trustStore may be named there',
    proxy: 'let JAVA_TOOL_OPTIONS be what `secretless env` prints',
  },
  {
    program: 'aws',
    words: (url) => [
      's3api',
      'list-buckets',
      '--endpoint-url',
      `${url}/s3/`,
      '--region',
      'us-east-1',
      '--output',
      'text',
    ],
    env: () => ({
      AWS_ACCESS_KEY_ID: 'SECRETLESSDOCTOR',
      AWS_SECRET_ACCESS_KEY: 'made-up',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_MAX_ATTEMPTS: '1',
    }),
    content: new RegExp(SEEN),
    trust: variable('AWS_CA_BUNDLE'),
    proxy: ENVIRONMENT,
  },
  {
    program: 'gh',
    words: (url) => ['api', '--hostname', new URL(url).host, 'user'],
    env: (url, folder) => ({
      GH_HOST: new URL(url).host,
      GH_ENTERPRISE_TOKEN: 'held-by-secretless-sidecar',
      GH_CONFIG_DIR: folder,
      GH_NO_UPDATE_NOTIFIER: '1',
    }),
    content: new RegExp(SEEN),
    trust: (bundle) =>
      process.platform === 'darwin'
        ? 'programs in Go ask the keychain on macOS: `security add-trusted-cert -r trustRoot` the file that NODE_EXTRA_CA_CERTS names'
        : `let SSL_CERT_FILE name ${bundle}`,
    proxy: ENVIRONMENT,
  },
];

/** Programs that leave the work to another process, which our environment does not reach. */
export const APART: Readonly<Record<string, string>> = {
  docker:
    'its daemon pulls and builds, past the sidecar: give the daemon `proxies` in /etc/docker/daemon.json and our certificate in /etc/docker/certs.d, and containers the variables of `secretless env`',
};
