import { describe, expect, test } from 'vitest';
import { AGENT_MOUNT, sidecarContainer, sidecarVolumes } from '../src/injector/sidecar-container.ts';
import { goldens } from './charts/helm.ts';
import { podOf } from './charts/restricted.ts';

/** What an API server adds by itself, and the injector writes out. */
const DEFAULTS: readonly (readonly [string, unknown])[] = [
  ['scheme', 'HTTP'],
  ['successThreshold', 1],
  ['terminationMessagePath', '/dev/termination-log'],
];

function withoutDefaults(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((each) => withoutDefaults(each));
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(
    ([key, part]) => !DEFAULTS.some(([name, own]) => name === key && own === part),
  );
  return Object.fromEntries(kept.map(([key, part]) => [key, withoutDefaults(part)]));
}

function podOfGolden(file: string) {
  return goldens().flatMap(({ from, manifest }) =>
    from.startsWith(`${file}.yaml `) ? (podOf(manifest) ?? []) : [],
  )[0]!;
}

describe('the library and the injector', () => {
  test.each([
    ['01-minimal', true],
    ['01-minimal-on-1.28', false],
  ] as const)('add the same container, volumes and mount: %s', (file, native) => {
    const { spec } = podOfGolden(file);
    const all = [...(spec.initContainers ?? []), ...spec.containers];
    const mine = all.find(({ name }) => name === 'secretless-sidecar')!;
    const config = { config: 'demo-secretless' } as Parameters<typeof sidecarContainer>[0];
    const resources = { requests: { cpu: '50m', memory: '96Mi' }, limits: { memory: '256Mi' } };
    const theirs = sidecarContainer(config, { image: mine.image, resources, native, host: '0.0.0.0' });
    // Secrets come one by one here, and all of a Secret there.
    const { env = [], ...rest } = mine;
    const { env: own, ...others } = theirs;
    expect(rest).toEqual(withoutDefaults(others));
    // The empty value of YAML is null, and no value to Kubernetes.
    expect(env.filter(({ valueFrom }) => valueFrom === undefined)).toEqual(own);
    expect(spec.volumes).toEqual(sidecarVolumes(config));
    const agent = all.find(({ name }) => name === 'agent')!;
    expect(agent.volumeMounts).toEqual([AGENT_MOUNT]);
  });
});
