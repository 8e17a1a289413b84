import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ERRORS, SidecarError, type ErrorCode } from '../error.ts';
import { Distribution, SECONDS_BUCKETS } from './families.ts';
import { openMetrics, outcomeOf, OUTCOMES, TUNNEL_OUTCOMES } from './metrics.ts';

async function scrape(metrics: ReturnType<typeof openMetrics>): Promise<Map<string, number>> {
  const { text } = await metrics.scrape();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test('exchanges are counted by service and outcome', async () => {
  const metrics = openMetrics({ version: '1' });
  metrics.service('github').ended('ok', 0.004, 0.0002);
  metrics.service('github').ended('ok', 0.3, 0.0002);
  metrics.service('github').ended('denied');
  const samples = await scrape(metrics);
  expect(samples.get('secretless_exchanges_total{service="github",outcome="ok"}')).toBe(2);
  expect(samples.get('secretless_exchanges_total{service="github",outcome="denied"}')).toBe(1);
  expect(samples.get('secretless_exchanges_total{service="github",outcome="upstream"}')).toBe(0);
  expect(samples.get('secretless_upstream_seconds_bucket{service="github",le="0.0025"}')).toBe(0);
  expect(samples.get('secretless_upstream_seconds_bucket{service="github",le="0.005"}')).toBe(1);
  expect(samples.get('secretless_upstream_seconds_bucket{service="github",le="+Inf"}')).toBe(2);
  expect(samples.get('secretless_upstream_seconds_count{service="github"}')).toBe(2);
  expect(samples.get('secretless_upstream_seconds_sum{service="github"}')).toBeCloseTo(0.304);
  expect(samples.get('secretless_added_seconds_count{service="github"}')).toBe(2);
});

test('a listener shows how many sockets are open and how many there were', async () => {
  const metrics = openMetrics({ version: '1' });
  const listener = metrics.listener('tcp://127.0.0.1:8081');
  listener.opened();
  listener.opened();
  listener.closed();
  const samples = await scrape(metrics);
  expect(samples.get('secretless_connections{listener="tcp://127.0.0.1:8081"}')).toBe(1);
  expect(samples.get('secretless_connections_total{listener="tcp://127.0.0.1:8081"}')).toBe(2);
});

test('fetches, reloads, the ledger, the build and the process are shown', async () => {
  const metrics = openMetrics({ version: '1.2.3' });
  metrics.provider('vault').fetched('error', 0.01);
  metrics.reloaded('failed');
  metrics.watchLedger(() => ({ up: false, lagEvents: 3 }));
  const samples = await scrape(metrics);
  expect(samples.get('secretless_lease_fetches_total{provider="vault",outcome="error"}')).toBe(1);
  expect(samples.get('secretless_lease_fetch_seconds_count{provider="vault"}')).toBe(1);
  expect(samples.get('secretless_reloads_total{outcome="failed"}')).toBe(1);
  expect(samples.get('secretless_ledger_up')).toBe(0);
  expect(samples.get('secretless_ledger_lag_events')).toBe(3);
  expect(samples.get('secretless_build_info{version="1.2.3"}')).toBe(1);
  expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(1e6);
  expect(samples.get('process_cpu_seconds_total')).toBeGreaterThan(0);
  expect(samples.get('nodejs_heap_size_used_bytes')).toBeGreaterThan(1e6);
  if (process.platform === 'linux') expect(samples.get('process_open_fds')).toBeGreaterThan(3);
});

test('two sidecars in one process do not share series', async () => {
  const one = openMetrics({ version: '1' });
  const other = openMetrics({ version: '2' });
  one.service('github').ended('ok');
  expect([...(await scrape(other)).keys()].filter((name) => name.includes('github'))).toEqual([]);
});

test('a service name cannot break out of its label', async () => {
  const metrics = openMetrics({ version: '1' });
  metrics.service('a"} 1\nforged 1').ended('ok');
  const { text } = await metrics.scrape();
  expect(text).not.toMatch(/^forged/m);
});

test('every error code has one of the fixed outcomes', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) expect(OUTCOMES).toContain(outcomeOf(new SidecarError(code)));
  expect(outcomeOf(new SidecarError('rate-limited'))).toBe('denied');
});

test('a distribution agrees with counting by hand', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.double({ min: 0, max: 20, noNaN: true }), fc.constantFrom(...SECONDS_BUCKETS))),
      (all) => {
        const distribution = new Distribution();
        for (const seconds of all) distribution.observe(seconds);
        for (const { labels, value, metricName } of distribution.samples('x', {})) {
          if (metricName !== 'x_bucket') continue;
          const bound = labels['le'] === '+Inf' ? Infinity : Number(labels['le']);
          expect(value).toBe(all.filter((seconds) => seconds <= bound).length);
        }
      },
    ),
  );
});

test('what is no duration is left out', () => {
  const distribution = new Distribution();
  for (const seconds of [NaN, -1, Infinity]) distribution.observe(seconds);
  expect(distribution.samples('x', {}).every(({ value }) => value === 0)).toBe(true);
});

test('a listener shows what became of those who asked for a tunnel', async () => {
  const metrics = openMetrics({ version: '1' });
  const tunnels = metrics.tunnels('tcp://127.0.0.1:3128');
  tunnels.asked('spliced');
  tunnels.asked('distrusted');
  tunnels.asked('spliced');
  const samples = await scrape(metrics);
  const seen = TUNNEL_OUTCOMES.map((outcome) =>
    samples.get(`secretless_tunnels_total{listener="tcp://127.0.0.1:3128",outcome="${outcome}"}`),
  );
  expect(seen).toEqual([0, 2, 0, 1, 0]);
});
