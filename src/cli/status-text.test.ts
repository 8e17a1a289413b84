import { expect, test } from 'vitest';
import { exampleStatus } from '../sidecar/testdata/example-status.ts';
import { durationText, statusText } from './status-text.ts';

const NOW = new Date('2026-01-02T05:09:05.000Z');

test('the status is a readable table', () => {
  expect(statusText(exampleStatus(), NOW)).toBe(`secretless  1.2.3
ready       yes
pid         4242
uptime      2 h 5 min
config      /etc/secretless.yml, loaded 2026-01-02T03:04:05.000Z, fingerprint c0ffee
ledger      /var/lib/secretless/ledger.jsonl, ok, event 12
telemetry   tcp://127.0.0.1:5335

LISTENER              CONNECTIONS  SERVICES
tcp://127.0.0.1:8081  3            github, gitlab

SERVICE  CONNECTOR  AGENT
github   http       reviewer
gitlab   http       reviewer
`);
});

test('what is wrong is said', () => {
  const ledger = { file: '/l', ok: false, seq: 3, lag: 2, reason: 'disk full' };
  const text = statusText(exampleStatus({ ready: false, reasons: ['disk full'], ledger, telemetry: {} }), NOW);
  expect(text).toContain('ready       no: disk full\n');
  expect(text).toContain('NOT RECORDING: disk full');
  expect(text).toContain('telemetry   off\n');
});

test('a name cannot move the cursor', () => {
  const services = [{ name: 'a\u001b[2J\nb', connector: 'http', agent: 'x' }];
  expect(statusText(exampleStatus({ services }), NOW)).toContain('a\\u001b[2J\\u000ab');
});

test.each([
  [0, '0 s'],
  [59_999, '59 s'],
  [60_000, '1 min'],
  [3_661_000, '1 h 1 min'],
  [90_061_000, '1 d 1 h'],
  [-5, '0 s'],
])('%i ms is %s', (ms, text) => {
  expect(durationText(ms)).toBe(text);
});
