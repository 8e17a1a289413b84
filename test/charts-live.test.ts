import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { endpointVariables } from '../connectors/aws/endpoint/variables.ts';
import { nftRules } from '../src/cli/redirect-rules.ts';
import { outfit } from '../src/cli/run/outfit.ts';
import { trustVariables } from '../src/cli/run/trust-variables.ts';
import { loadOrRefuse } from '../src/main.ts';
import { openTelemetryServer } from '../src/telemetry/health.ts';
import { openLog } from '../src/telemetry/log.ts';
import { OUTCOMES, openMetrics, TUNNEL_OUTCOMES } from '../src/telemetry/metrics.ts';
import { CHARTS, goldens } from './charts/helm.ts';
import { podOf, type Container, type PodSpec } from './charts/restricted.ts';
import { ask, runCommand, startProcess, stateFolder } from './process-rig.ts';

/** One golden file: its configuration, where the chart holds it, and its pod. */
interface Golden {
  readonly name: string;
  readonly config: string | undefined;
  readonly spec: PodSpec;
}

const all = goldens();
const names = [...new Set(all.map(({ from }) => from.split(' ')[0]!))];
const made: Golden[] = names.map((name) => {
  const own = all.filter(({ from }) => from.startsWith(`${name} `)).map(({ manifest }) => manifest);
  const held = own.flatMap(({ data }) => (data as Record<string, string> | undefined)?.['secretless.yml'] ?? []);
  return { name, config: held[0], spec: own.flatMap((manifest) => podOf(manifest)?.spec ?? [])[0]! };
});
const configured = made.flatMap(({ config, ...rest }) => (config === undefined ? [] : { ...rest, config }));

function containers({ spec }: Pick<Golden, 'spec'>): readonly Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}

function sidecar(golden: Pick<Golden, 'spec'>): Container {
  return containers(golden).find(({ name }) => name === 'secretless-sidecar')!;
}

describe('the configuration in a ConfigMap', () => {
  test.each(configured)('of $name passes secretless check', async ({ config }) => {
    const folder = stateFolder();
    writeFileSync(join(folder, 'secretless.yml'), config);
    const { code, out, err } = await runCommand(folder, ['check', '-f', 'secretless.yml']);
    expect(`${out}${err}`).toMatch(/good/);
    expect(code).toBe(0);
  });

  test('gets what it asks of variables and files from the same values', () => {
    for (const golden of configured) {
      const { env = [], volumeMounts = [] } = sidecar(golden);
      for (const [, provider, id] of golden.config.matchAll(/from: (env|file)\n\s+get: (\S+)/g)) {
        if (provider === 'env')
          expect(
            env.map(({ name }) => name),
            golden.name,
          ).toContain(id);
        else
          expect(
            volumeMounts.some(({ mountPath }) => id!.startsWith(`${mountPath}/`)),
            id,
          ).toBe(true);
      }
    }
  });

  test('that Kubernetes swaps by a symlink is reloaded', async () => {
    const mount = join(stateFolder(), 'etc');
    mkdirSync(mount);
    const write = (version: string, service: string): void => {
      mkdirSync(join(mount, version));
      writeFileSync(join(mount, version, 'secretless.yml'), yaml(service));
      // As the kubelet does it (pkg/volume/util/atomic_writer.go): a link aside, renamed over the old one.
      symlinkSync(version, join(mount, '..data_tmp'));
      renameSync(join(mount, '..data_tmp'), join(mount, '..data'));
    };
    write('..2026_11_22_10_00_00.1', 'first');
    symlinkSync('..data/secretless.yml', join(mount, 'secretless.yml'));
    const file = join(mount, 'secretless.yml');
    const rig = startProcess('services: {}', { words: ['start', '-f', file, '--watch'] });
    await rig.ready();
    const before = rig.log.length;
    write('..2026_11_22_10_00_01.2', 'second');
    rmSync(join(mount, '..2026_11_22_10_00_00.1'), { recursive: true });
    await rig.line(({ message }) => /reload/i.test(String(message)), before);
    expect((await rig.control.status()).services.map(({ name }) => name)).toEqual(['second']);
  });

  function yaml(service: string): string {
    return `version: '2'
services:
  ${service}:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: https://api.example.com
    credentials: { token: { from: env, get: TOKEN } }
    config: { headers: { Authorization: 'Bearer {{ .token }}' } }
telemetry: { listenOn: off }
`;
  }
});

describe('the variables of the agent', () => {
  /** What no manifest can hold: files that `secretless env` writes for the one who asks. */
  const FILES = new Set(['WGETRC', 'GIT_SSH_COMMAND']);

  test.each(configured)('of $name are those of secretless env', async ({ config, spec }) => {
    const home = stateFolder();
    writeFileSync(join(home, 'secretless.yml'), config);
    writeFileSync(join(home, 'egress-ca.pem'), rootCertificates[0]!);
    const loaded = loadOrRefuse(join(home, 'secretless.yml'), {}, () => undefined);
    const door = loaded.egress?.listenOn.find(({ kind }) => kind === 'tcp');
    const standing = { config: loaded, services: loaded.services, egress: door?.kind === 'tcp' ? door : undefined };
    const place = { env: { SECRETLESS_HOME: home }, own: join(home, 'own'), warn: () => undefined };
    const { set } = await outfit(standing, { services: [], keep: [] }, place);
    const wanted = Object.entries(set)
      .filter(([name]) => !FILES.has(name))
      .map(([name, value]) => [name, value.replaceAll(home, '/run/secretless')] as const);
    const agent = containers({ spec }).find(({ name }) => name === 'agent')!;
    const got = (agent.env ?? []).map(({ name, value }) => [name, value]);
    expect(Object.fromEntries(got)).toEqual(Object.fromEntries(wanted));
  });

  test('are named by a file that has all of those that the program has', () => {
    const file = read('secretless-sidecar/files/agent-variables.json') as Record<string, unknown>;
    const trust = Object.entries(trustVariables({ extra: 'e', bundle: 'b', trustStore: 't', trustStorePassword: 'p' }));
    const naming = (path: string) => trust.flatMap(([name, value]) => (value === path ? name : []));
    expect(file['extra']).toEqual(naming('e'));
    expect(file['bundle']).toEqual(naming('b'));
    expect(file['awsEndpoints']).toEqual(
      Object.fromEntries(endpointVariables().map((each) => [each.name, each.prefix])),
    );
  });
});

describe('redirection', () => {
  const { spec } = made.find(({ name }) => name.startsWith('03-transparent'))!;
  const [first] = spec.initContainers!;
  const rules = first!.command![1]!;

  test('comes before everything else of the pod, by the rules that secretless transparent prints', () => {
    expect(first!.name).toBe('secretless-redirect');
    expect(first!.command![0]).toBe('nft');
    expect(`${rules.trimEnd()}\n`).toBe(nftRules({ port: 3129, uid: sidecar({ spec }).securityContext!.runAsUser! }));
  });

  test('works with NET_ADMIN alone, twice too, and no container after it has that', ({ skip }) => {
    const inside = (words: string[]) =>
      spawnSync('unshare', ['-n', 'setpriv', '--bounding-set=-all,+net_admin', '--no-new-privs', ...words], {
        encoding: 'utf8',
      });
    if (inside(['nft', '--version']).status !== 0) return skip('needs root, unshare, setpriv and nft');
    const twice = inside(['sh', '-c', 'nft "$1" && nft "$1" && nft list table inet secretless', 'sh', rules]);
    expect(twice.stderr).toBe('');
    expect(twice.stdout.match(/redirect to :3129/g)).toHaveLength(1);
    for (const { name, securityContext } of containers({ spec })) {
      if (name !== 'secretless-redirect') expect(securityContext!.capabilities).toEqual({ drop: ['ALL'] });
    }
  });
});

describe('confinement', () => {
  const { spec } = made.find(({ name }) => name.startsWith('11-confined'))!;
  const rules = spec.initContainers![0]!.command![1]!;
  const user = sidecar({ spec }).securityContext!.runAsUser!;
  /** Dials, and says how that ended; nobody is at the other end of the wire, so what gets out hears nothing. */
  const dial = `
    const socket = require('node:net').connect({ host: process.argv[1], port: 443 });
    socket.on('error', ({ code }) => { console.log(code); process.exit(); });
    setTimeout(() => { console.log('sent'); process.exit(); }, 700);`;
  const script = `
    ip link set lo up && ip link add v0 type veth peer name v1 && ip addr add 10.9.9.1/24 dev v0 || exit 9
    ip link set v0 up && ip link set v1 up && ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:02 dev v0 || exit 9
    nft "$1" || exit 8
    for uid in 10001 $2; do
      for host in 10.9.9.2 127.0.0.1; do
        echo "$uid $host $(setpriv --reuid $uid --clear-groups "$3" -e "$4" $host)"
      done
    done`;

  test('lets the agent reach this pod alone, and the sidecar everything', ({ skip }) => {
    const words = ['-n', 'sh', '-c', script, 'sh', rules, String(user), process.execPath, dial];
    const { stdout, stderr, status } = spawnSync('unshare', words, { encoding: 'utf8', timeout: 15_000 });
    if (status === 9 || status === null || /unshare|setpriv: not found/.test(stderr)) {
      return skip(`needs root, unshare, ip and setpriv: ${stderr}`);
    }
    expect(stderr).toBe('');
    const said = stdout.trim().split('\n');
    expect(said[0]).toMatch(/^10001 10\.9\.9\.2 E(HOSTUNREACH|ACCES|CONNREFUSED)$/);
    expect(said.slice(1)).toEqual([
      '10001 127.0.0.1 ECONNREFUSED',
      `${user} 10.9.9.2 sent`,
      `${user} 127.0.0.1 ECONNREFUSED`,
    ]);
  });
});

describe('the container', () => {
  test('asks for probes and metrics at paths that are there', async () => {
    const status = () => ({ live: true, ready: true, reasons: [] });
    const options = { metrics: openMetrics({ version: '0' }), status, log: openLog({ level: 'error' }) };
    const address = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
    const server = await openTelemetryServer({ ...options, address });
    try {
      const port = server.address.kind === 'tcp' ? server.address.port : 0;
      const probed = made.flatMap((golden) => {
        const { startupProbe, livenessProbe, readinessProbe } = sidecar(golden);
        return [startupProbe, livenessProbe, readinessProbe].map((probe) => probe!.httpGet!.path);
      });
      for (const path of [...new Set(probed), '/metrics']) expect((await ask(port, path)).status, path).toBe(200);
    } finally {
      await server.close();
    }
  });

  test('has an image, a command and a version that the image and the package have', () => {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    for (const chart of ['secretless-sidecar', 'agent-example']) {
      const { version: own, appVersion } = parse(readFileSync(join(CHARTS, chart, 'Chart.yaml'), 'utf8')) as Record<
        string,
        string
      >;
      expect([own, appVersion]).toEqual([version, version]);
    }
    expect(sidecar(made[0]!).image).toBe(`ghcr.io/secretless-sidecar/secretless-sidecar:${version}`);
    const dockerfile = readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8');
    const plain = made.find(({ name }) => name.startsWith('09-plain'))!;
    const [node, script] = sidecar(plain).lifecycle!.postStart!.exec!.command;
    const entry = /ENTRYPOINT (\[[^\]]*\])/.exec(dockerfile)![1]!.replaceAll('\\\n', '');
    const words = JSON.parse(entry) as string[];
    expect([node, script]).toEqual([words[0], words.at(-1)]);
    expect(dockerfile).toContain(
      `USER ${sidecar(plain).securityContext!.runAsUser}:${sidecar(plain).securityContext!.runAsUser}`,
    );
  });
});

describe('the dashboard and the alerts', () => {
  const exposed = openMetrics({ version: '0' });
  exposed.service('s').ended('ok', 1, 1);
  exposed.listener('l').opened();
  exposed.tunnels('l').asked('spliced');
  exposed.provider('p').fetched('ok', 1);
  exposed.watchLedger(() => ({ up: true, lagEvents: 0 }));
  exposed.reloaded('ok');

  /** Names of series with the labels and outcomes that each has. */
  async function series(): Promise<Map<string, Set<string>>> {
    const { text } = await exposed.scrape();
    const found = new Map<string, Set<string>>();
    for (const [, name, labels = ''] of text.matchAll(/^([a-z_]+)(?:\{(.*)\})? /gm)) {
      const words = found.get(name!) ?? new Set<string>();
      for (const [, label, value] of labels.matchAll(/(\w+)="([^"]*)"/g)) words.add(label!).add(`${label}=${value}`);
      found.set(name!, words);
    }
    return found;
  }

  const dashboard = read('secretless-sidecar/dashboards/secretless.json') as {
    panels: { id: number; title: string; targets?: { expr: string }[]; gridPos: { x: number; y: number; w: number } }[];
    templating: { list: { query: string | { query: string } }[] };
  };
  const alerts = parse(readFileSync(join(CHARTS, 'secretless-sidecar/files/alerts.yml'), 'utf8')) as {
    groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[];
  };
  const rules = alerts.groups.flatMap((group) => group.rules);
  const expressions = [
    ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...rules.map(({ expr }) => expr),
    ...dashboard.templating.list.flatMap(({ query }) => (typeof query === 'string' ? [] : query.query)),
  ];
  /** From the scraper, not from us. */
  const TARGET_LABELS = new Set(['namespace', 'pod', 'container', 'le']);

  test('ask for metrics, labels and outcomes that there are', async () => {
    const known = await series();
    const asked = new Set<string>();
    for (const expression of expressions) {
      const own = [...expression.matchAll(/\b((?:secretless|process|nodejs)_[a-z_]+)(?:\{([^}]*)\})?/g)];
      expect(own.length, expression).toBeGreaterThan(0);
      const labels = new Set<string>();
      for (const [, name, selector = ''] of own) {
        asked.add(name!.replace(/_(bucket|sum|count)$/, ''));
        expect(known.has(name!), `${name} in ${expression}`).toBe(true);
        for (const label of known.get(name!)!) labels.add(label);
        for (const [, label, value] of selector.matchAll(/(\w+)="([^"$]*)"/g)) {
          if (!TARGET_LABELS.has(label!)) expect(known.get(name!), expression).toContain(`${label}=${value}`);
        }
      }
      for (const [, by] of expression.matchAll(/\bby \(([^)]*)\)/g)) {
        for (const label of by!.split(', '))
          expect(TARGET_LABELS.has(label) || labels.has(label), expression).toBe(true);
      }
    }
    // Whatever is measured is shown.
    const families = [...known.keys()].map((name) => name.replace(/_(bucket|sum|count)$/, ''));
    expect([...new Set(families)].filter((name) => !asked.has(name))).toEqual([]);
    expect(OUTCOMES).toContain('denied');
    expect(TUNNEL_OUTCOMES).toContain('distrusted');
  });

  test('have panels of their own place and alerts that say what to do', () => {
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const places = dashboard.panels.map(({ gridPos: { x, y } }) => `${x} ${y}`);
    expect(new Set(places).size).toBe(places.length);
    for (const { gridPos } of dashboard.panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    for (const { alert, annotations } of rules) {
      expect(alert).toMatch(/^Secretless[A-Z]/);
      expect(annotations['summary']!.length).toBeGreaterThan(10);
      expect(annotations['description']!.length).toBeGreaterThan(20);
    }
    const inCluster = all.find(({ manifest }) => manifest.kind === 'PrometheusRule')!.manifest;
    expect(JSON.stringify(inCluster)).not.toContain('NAMESPACE');
    expect(JSON.stringify(inCluster)).toContain('namespace=\\"agents\\"');
  });
});

function read(path: string): unknown {
  return JSON.parse(readFileSync(join(CHARTS, path), 'utf8'));
}
