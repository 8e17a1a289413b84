import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

/** Who may import whom: the house's order, checked on every source file. */

const root = resolve(import.meta.dirname, '..');

/** Values a part may import from other parts; types may come from anywhere below `main.ts`. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  error: [],
  schema: [],
  'node-http': [],
  units: [],
  'young-generation': [],
  certificate: ['error'],
  policy: ['error', 'schema', 'node-http'],
  credential: ['error', 'schema', 'node-http', 'policy'],
  connector: ['error', 'schema', 'node-http', 'units', 'policy', 'credential'],
  admission: ['error', 'policy', 'credential'],
  providers: ['error', 'schema', 'node-http', 'credential'],
  ledger: ['error', 'schema', 'node-http'],
  telemetry: ['error', 'schema', 'node-http'],
  config: ['error', 'schema', 'node-http', 'units'],
  identity: ['error', 'schema', 'node-http'],
  http: [
    'error',
    'schema',
    'node-http',
    'young-generation',
    'policy',
    'credential',
    'admission',
    'connector',
    'telemetry',
  ],
  upstream: ['error'],
  relay: ['error', 'young-generation', 'policy', 'credential', 'admission', 'connector', 'telemetry', 'upstream'],
  stream: ['error', 'young-generation', 'policy', 'credential', 'admission', 'connector', 'upstream', 'telemetry'],
  egress: ['error', 'policy', 'admission', 'connector', 'upstream', 'stream', 'http'],
  sidecar: [
    'error',
    'schema',
    'node-http',
    'policy',
    'credential',
    'admission',
    'connector',
    'config',
    'ledger',
    'telemetry',
    'http',
    'upstream',
    'stream',
    'relay',
    'egress',
    'certificate',
  ],
  migrate: ['config'],
  injector: ['error', 'schema', 'config', 'certificate', 'credential', 'telemetry'],
  cli: [
    'error',
    'schema',
    'node-http',
    'policy',
    'connector',
    'config',
    'ledger',
    'telemetry',
    'http',
    'upstream',
    'stream',
    'sidecar',
    'certificate',
    'migrate',
    'injector',
    'main',
  ],
  main: [
    'error',
    'schema',
    'node-http',
    'policy',
    'credential',
    'config',
    'ledger',
    'telemetry',
    'http',
    'sidecar',
    'providers',
    'connectors',
  ],
};

interface Import {
  readonly file: string;
  readonly module: string;
  readonly typeOnly: boolean;
}

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.includes('testdata'))
    .map((name) => join(folder, name));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found = text.matchAll(/^(?:import|export)\s+(type\s)?(?:[^'"();]*?from\s+)?'([^']+)';|\bimport\('([^']+)'\)/gm);
  return [...found].map(([, type, module, dynamic]) => ({
    file,
    module: module ?? dynamic!,
    typeOnly: type !== undefined,
  }));
}

/** `src/http/place.ts` → `http`; `src/error.ts` → `error`; `connectors/http/index.ts` → `connectors`. */
function partOf(path: string): string {
  const [top, second = ''] = path.split('/');
  return top === 'src' ? second.replace(/\.ts$/, '') : top!;
}

function violations(imports: readonly Import[]): string[] {
  return imports.flatMap(({ file, module, typeOnly }) => {
    if (!module.startsWith('.')) return [];
    const from = partOf(file);
    const to = partOf(relative(root, resolve(root, dirname(file), module)));
    if (from === to || MAY_IMPORT[from]?.includes(to) === true) return [];
    if (typeOnly && to !== 'main' && to !== 'cli' && to !== 'connectors') return [];
    return [`${file} imports ${module}`];
  });
}

const all = sources('src').flatMap(importsOf);

test('every part imports only what stands below it', () => {
  expect(violations(all)).toEqual([]);
});

test('the check of imports sees a violation where there is one', () => {
  const planted = (file: string, module: string, typeOnly = false): string[] =>
    violations([{ file, module, typeOnly }]);
  expect(planted('src/policy/decide.ts', '../credential/secret.ts')).toHaveLength(1);
  expect(planted('src/http/place.ts', '../../connectors/index.ts', true)).toHaveLength(1);
  expect(planted('src/sidecar/sidecar.ts', '../main.ts', true)).toHaveLength(1);
  expect(planted('src/ledger/ledger.ts', '../telemetry/log.ts')).toHaveLength(1);
  expect(planted('src/ledger/ledger.ts', '../telemetry/log.ts', true)).toHaveLength(0);
});

test('every folder of src has its line in the order', () => {
  const folders = readdirSync(join(root, 'src'))
    .filter((name) => !name.endsWith('.test.ts'))
    .map((name) => name.replace(/\.ts$/, ''));
  expect(folders.filter((name) => MAY_IMPORT[name] === undefined)).toEqual([]);
});

test('only main.ts names the connectors', () => {
  const named = all.filter(({ module }) => module.includes('connectors/'));
  expect(named.map(({ file }) => file)).toEqual(['src/main.ts']);
});

test('the core switches on the kind of a connector, never on its name', () => {
  for (const file of [
    ...sources('src/http'),
    ...sources('src/stream'),
    ...sources('src/relay'),
    ...sources('src/egress'),
    ...sources('src/sidecar'),
  ]) {
    const text = readFileSync(join(root, file), 'utf8');
    expect(text, file).not.toMatch(/connector(\.name)?\s*[!=]==?\s*['"`]/);
    expect(text, file).not.toMatch(/switch\s*\([^)]*(connector|name)\)\s*\{\s*case '/);
  }
});

test('grants are issued by policy alone', () => {
  const issuing = sources('src').filter((file) => readFileSync(join(root, file), 'utf8').includes('Grant.issue('));
  expect(issuing).toEqual(['src/policy/policy.ts']);
});

/** Each place where bytes of a secret are looked at, for reviewers. A new one is a decision, not an accident. */
const MAY_EXPOSE = [
  'src/connector/text.ts',
  'src/providers/file/file-store.ts',
  // AWS: the SDK takes and hands out text; two sets are compared; a login token is signed.
  'src/providers/aws-credentials/kept.ts',
  'src/providers/aws-credentials/sdk.ts',
  'src/providers/rds-iam/token.ts',
  'src/credential/version.ts',
  'src/sidecar/opening.ts',
  // Egress: tokens become digests, the password of the proxy on the way becomes a field.
  'src/egress/callers.ts',
  'src/sidecar/egress.ts',
  'src/sidecar/way-out.ts',
  'src/upstream/proxy-connect.ts',
  // The injector's own service account token becomes a field.
  'src/injector/kubernetes/api.ts',
  // `run --only`: what a rule hands over as a value becomes a variable.
  'src/cli/run/value-text.ts',
  // AWS: a key is derived, and two parts of it travel as text.
  'connectors/aws/signing-credentials.ts',
  // The Postgres login: a password becomes a message, a hash or keys; PEM goes to TLS.
  'connectors/postgres/client-messages.ts',
  'connectors/postgres/dsn.ts',
  'connectors/postgres/front.ts',
  'connectors/postgres/md5.ts',
  'connectors/postgres/scram-keys.ts',
  'connectors/postgres/settings.ts',
  'connectors/postgres/tls-plan.ts',
  // Keys of SSH: a text becomes a key, a passphrase goes to the worker that derives.
  'src/connector/ssh/derive.ts',
  'src/connector/ssh/ppk.ts',
  'src/connector/ssh/private-key.ts',
  // The SSH logins: a password becomes a message or an answer, a token is compared, a text says which host is meant.
  'connectors/ssh/transport/client-login.ts',
  'connectors/ssh/transport/identity.ts',
  'connectors/ssh/transport/keyboard-interactive.ts',
  'connectors/ssh/upstream/host-trust.ts',
  'connectors/ssh/upstream/login-ways.ts',
  // The agent: settings that come as credentials are read.
  'connectors/ssh-agent/key-ring.ts',
];

test('secrets are exposed only in the places that are listed', () => {
  const exposing = [...sources('src'), ...sources('connectors')].filter((file) =>
    /\.expose\(/.test(readFileSync(join(root, file), 'utf8')),
  );
  expect(exposing.sort()).toEqual([...MAY_EXPOSE].sort());
});

test('no file is longer than 500 lines', () => {
  const long = [...sources('src'), ...sources('connectors'), ...sources('test'), ...sources('bench')].filter(
    (file) => readFileSync(join(root, file), 'utf8').split('\n').length > 501,
  );
  expect(long).toEqual([]);
});

test('names of files say what is in them', () => {
  const empty = /(manager|helper|util|common|misc|data|info)s?\.ts$/;
  expect([...sources('src'), ...sources('connectors')].filter((file) => empty.test(file))).toEqual([]);
});
