import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import type { Manifest, Named } from './openapi.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
export const CHARTS = fileURLToPath(new URL('../../charts', import.meta.url));
export const VALUES = join(HERE, 'values');
export const GOLDEN = join(HERE, 'golden');
const PATIENCE_MS = 60_000;

const helm = process.env['HELM'] ?? 'helm';
/** Why nothing can be rendered here; undefined where it can. */
export const noHelm =
  spawnSync(helm, ['version'], { timeout: PATIENCE_MS }).status === 0
    ? undefined
    : 'helm is not installed: go install helm.sh/helm/v3/cmd/helm@v3.22.0, or name it in HELM';

export interface Ran {
  readonly ok: boolean;
  readonly stdout: string;
  /** Both streams. */
  readonly text: string;
}

export interface WorkloadOptions {
  /** Of the dependencies on the library. */
  readonly aliases?: readonly string[];
  /** The alias that the workload names. */
  readonly of?: string;
  readonly kind?: string;
}

/** Copies of the charts, with their dependencies built; `remove` takes them away. */
export class Charts {
  readonly folder = mkdtempSync(join(tmpdir(), 'sl-charts-'));

  constructor() {
    cpSync(CHARTS, this.folder, { recursive: true });
    const built = this.run(['dependency', 'build', this.path('agent-example')]);
    if (!built.ok) throw new Error(built.text);
  }

  path(chart: string): string {
    return join(this.folder, chart);
  }

  run(words: readonly string[]): Ran {
    const env = { ...process.env, HELM_CACHE_HOME: this.path('cache'), HELM_CONFIG_HOME: this.path('config') };
    const { status, stdout, stderr } = spawnSync(helm, words, { encoding: 'utf8', timeout: PATIENCE_MS, env });
    return { ok: status === 0, stdout, text: `${stdout}${stderr}` };
  }

  /** `helm template` of the example. `values` is YAML or JSON text, or the path of a file. */
  render(values: string, kube = '1.33.0', chart = 'agent-example'): Ran {
    const file = values.startsWith('/') ? values : this.path('values.yml');
    if (file !== values) writeFileSync(file, values);
    const words = ['template', 'demo', this.path(chart), '--namespace', 'agents', '--kube-version', kube, '-f', file];
    return this.run(words);
  }

  /** A chart whose one workload is this pod; as Kubernetes `kind`, a Pod where it is not said. */
  workload(pod: object, values: string, { aliases = ['secretless'], of, kind = 'Pod' }: WorkloadOptions = {}): Ran {
    const chart = this.path('probe');
    rmSync(chart, { recursive: true, force: true });
    mkdirSync(join(chart, 'templates'), { recursive: true });
    const dependencies = aliases.map((alias) => ({ name: 'secretless-sidecar', version: '0.1.0', alias }));
    writeFileSync(
      join(chart, 'Chart.yaml'),
      JSON.stringify({ apiVersion: 'v2', name: 'probe', version: '1.0.0', dependencies }),
    );
    cpSync(this.path('secretless-sidecar'), join(chart, 'charts/secretless-sidecar'), { recursive: true });
    const spec = kind === 'Pod' ? pod : { template: { spec: pod } };
    const manifest = JSON.stringify({ apiVersion: 'v1', kind, metadata: { name: 'probe' }, spec });
    const words = of === undefined ? '(list . "probe")' : `(list . "probe" "${of}")`;
    writeFileSync(
      join(chart, 'templates/pod.yaml'),
      `{{- define "probe" -}}\n${manifest}\n{{- end -}}\n{{- include "secretless.workload" ${words} }}\n`,
    );
    return this.render(values, '1.33.0', 'probe');
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function manifestsOf(text: string): Manifest[] {
  return parseAllDocuments(text).flatMap((document) => (document.toJS() as Manifest | null) ?? []);
}

/** Names of the files with values, without `.yml`. */
export function valueNames(): string[] {
  return readdirSync(VALUES).map((name) => name.replace(/\.yml$/, ''));
}

/** What is committed: every object of every golden file. */
export function goldens(): Named[] {
  return readdirSync(GOLDEN).flatMap((name) =>
    manifestsOf(readFileSync(join(GOLDEN, name), 'utf8')).map((manifest) => ({
      from: `${name} ${manifest.kind}/${manifest.metadata.name}`,
      manifest,
    })),
  );
}
