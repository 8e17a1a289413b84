import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { OUTCOMES, openMetrics, RECALLS, TUNNEL_OUTCOMES } from '../src/telemetry/metrics.ts';
import { codeBlocks, codeSpans, document, documents, section, tableRows } from './documents.ts';
import { ask, eventually, startRig, startUpstream, temporaryFolder } from './rig.ts';

const page = document('docs/operations.md').text;

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
}

interface Rules {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Alert[] }[];
}

const chartText = document('charts/secretless-sidecar/files/alerts.yml').text;
const pageText = codeBlocks(page).find(({ language, code }) => language === 'yml' && code.startsWith('groups:'))!.code;
const RULES = [
  ['the chart', chartText],
  ['the page', pageText],
] as const;

function alertsOf(text: string): readonly Alert[] {
  return (parse(text) as Rules).groups.flatMap(({ rules }) => rules);
}

/** Labels by name of every line that is exposed. */
async function exposed(): Promise<Map<string, Set<string>>> {
  const metrics = openMetrics({ version: '1.2.3' });
  metrics.watchLedger(() => ({ up: true, lagEvents: 0 }));
  metrics.listener('tcp://127.0.0.1:1').opened();
  metrics.tunnels('tcp://127.0.0.1:1').asked('spliced');
  metrics.service('one').ended('ok', 0.1, 0.1);
  metrics.service('one').recalled('found');
  metrics.provider('env').fetched('ok', 0.1);
  const { text } = await metrics.scrape();
  const found = new Map<string, Set<string>>();
  for (const [, name, labels = ''] of text.matchAll(/^([a-z_]+)(?:\{(.*)\})? /gm)) {
    found.set(name!, new Set([...labels.matchAll(/(\w+)="/g)].map(([, label]) => label!)));
  }
  return found;
}

/** What a scrape adds, in Kubernetes and elsewhere. */
const TARGET_LABELS = ['instance', 'job', 'namespace', 'pod', 'container'];
const VALUES = new Set<string>([...OUTCOMES, ...RECALLS, ...TUNNEL_OUTCOMES, 'error', 'failed']);

/** Metrics, labels and outcomes of an expression that are not exposed. */
function unknownIn(expression: string, names: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const used = [...expression.matchAll(/\b((?:secretless|process|nodejs)_\w+|up)\b(?:\{([^}]*)\})?/g)];
  const own = new Set([...used.flatMap(([, name]) => [...(names.get(name!) ?? [])]), ...TARGET_LABELS]);
  const grouped = [...expression.matchAll(/by \(([^)]*)\)/g)].flatMap(([, labels]) => labels!.split(/,\s*/));
  const matched = used.flatMap(([, name, matchers = '']) =>
    [...matchers.matchAll(/(\w+)="([^"]*)"/g)].flatMap(([, label, value]) => {
      const known = names.get(name!)?.has(label!) === true || TARGET_LABELS.includes(label!);
      return [...(known ? [] : [`${name}{${label}}`]), ...(label !== 'outcome' || VALUES.has(value!) ? [] : [value!])];
    }),
  );
  const metrics = used.map(([, name]) => name!).filter((name) => name !== 'up' && !names.has(name));
  return [...metrics, ...grouped.filter((label) => !own.has(label)), ...matched];
}

describe.each(RULES)('alert rules of %s', (_, text) => {
  test('use only metrics, labels and outcomes that are exposed', async () => {
    const names = await exposed();
    expect(alertsOf(text).flatMap(({ expr }) => unknownIn(expr, names))).toEqual([]);
    expect(alertsOf(text).length).toBeGreaterThan(5);
  });

  test('say how bad it is and what it is', () => {
    for (const { labels, annotations } of alertsOf(text)) {
      expect(['critical', 'warning', 'info']).toContain(labels.severity);
      expect(annotations.summary.length).toBeGreaterThan(10);
    }
  });

  test('are taken by promtool', (ctx) => {
    try {
      execFileSync('promtool', ['--version'], { stdio: 'ignore' });
    } catch {
      return ctx.skip('promtool is not installed');
    }
    const file = join(temporaryFolder(), 'rules.yml');
    writeFileSync(file, text);
    expect(() => execFileSync('promtool', ['check', 'rules', file], { stdio: 'pipe' })).not.toThrow();
  });
});

test('a metric, a label or an outcome that is not exposed is found', async () => {
  const names = await exposed();
  expect(unknownIn('secretless_ledger_down == 1', names)).toEqual(['secretless_ledger_down']);
  expect(unknownIn('sum by (tenant) (rate(secretless_exchanges_total{outcome="lost"}[5m]))', names)).toEqual([
    'tenant',
    'lost',
  ]);
  expect(unknownIn('secretless_ledger_up{service="a"}', names)).toEqual(['secretless_ledger_up{service}']);
});

test('every alert of the chart has a row that says what to do, and no row is of no alert', () => {
  const told = tableRows(page, 'alert').map(([name]) => codeSpans(name!)[0]);
  expect(told.sort()).toEqual(
    alertsOf(chartText)
      .map(({ alert }) => alert)
      .sort(),
  );
});

describe('probes', () => {
  test('each path of the table answers 200 on a sidecar that is ready', async () => {
    const rig = await startRig(`services:
  one:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:1
    credentials: { token: a }
    config: { headers: { Authorization: '{{ .token }}' } }`);
    const paths = tableRows(page, 'path').map(([path]) => codeSpans(path!)[0]!);
    expect(paths).toEqual(['/livez', '/readyz', '/metrics', '/healthz']);
    for (const path of paths) expect([path, (await fetch(`${rig.telemetry()}${path}`)).status]).toEqual([path, 200]);
  });
});

describe('the log', () => {
  test('has no field that the page does not tell of', async () => {
    const upstream = await startUpstream();
    const rig = await startRig(
      `services:
  good:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:${upstream.port}
    credentials: { token: a }
    config: { headers: { Authorization: '{{ .token }}' } }
  lost:
    connector: http
    listenOn: tcp://0.0.0.0:0
    target: http://127.0.0.1:${upstream.port}
    credentials: { token: { from: file, get: /nowhere } }
    config: { headers: { Authorization: '{{ .token }}' } }
rules:
  - { id: reads, effect: allow, methods: [GET] }`,
    );
    await ask(rig.port('good'), 'DELETE /');
    await ask(rig.port('lost'), 'GET /');
    await expect(rig.rewrite('services: {}')).rejects.toThrow();
    await rig.sidecar.drain();
    await eventually(() => rig.log.some(({ message }) => message === 'stopped'), 'the end');
    const told = new Set(tableRows(page, 'field').flatMap(([names]) => codeSpans(names!)));
    const seen = new Set(rig.log.flatMap((line) => Object.keys(line)));
    expect([...seen].filter((field) => !told.has(field))).toEqual([]);
    expect([...seen]).toEqual(expect.arrayContaining(['id', 'service', 'error', 'file', 'drainSeconds', 'problem']));
  });
});

test('the figures for sizing are those that were measured, as the bars tell them', () => {
  const elsewhere = documents()
    .filter(({ file }) => file !== 'docs/operations.md' && /^(README|docs\/)/.test(file))
    .map(({ text }) => text)
    .join('\n');
  const figures = tableRows(section(page, '## Sizing'), 'what').map(([, figure]) => figure!);
  expect(figures.length).toBeGreaterThan(8);
  const withoutUnit = (figure: string): string => figure.replace(/ (?:s|ms|MB|µs)$/, '');
  expect(figures.filter((figure) => !elsewhere.includes(withoutUnit(figure)))).toEqual([]);
});
