import type { SidecarStatus } from '../state.ts';

/** A status for tests. */
export function exampleStatus(changes: Partial<SidecarStatus> = {}): SidecarStatus {
  return {
    version: '1.2.3',
    pid: 4242,
    startedAt: '2026-01-02T03:04:05.000Z',
    ready: true,
    reasons: [],
    config: { file: '/etc/secretless.yml', loadedAt: '2026-01-02T03:04:05.000Z', fingerprint: 'c0ffee' },
    listeners: [{ address: 'tcp://127.0.0.1:8081', services: ['github', 'gitlab'], connections: 3 }],
    services: [
      { name: 'github', connector: 'http', agent: 'reviewer' },
      { name: 'gitlab', connector: 'http', agent: 'reviewer' },
    ],
    ledger: { file: '/var/lib/secretless/ledger.jsonl', ok: true, seq: 12, lag: 0 },
    telemetry: { address: 'tcp://127.0.0.1:5335' },
    ...changes,
  };
}
