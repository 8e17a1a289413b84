import type { SidecarStatus } from '../sidecar/state.ts';
import { columns, table } from './table.ts';

/** The status for a person. */
export function statusText(status: SidecarStatus, now: Date): string {
  const { config, ledger } = status;
  const summary = columns([
    ['secretless', status.version],
    ['ready', status.ready ? 'yes' : `no: ${status.reasons.join('; ')}`],
    ['pid', String(status.pid)],
    ['uptime', durationText(now.getTime() - Date.parse(status.startedAt))],
    ['config', `${config.file}, loaded ${config.loadedAt}, fingerprint ${config.fingerprint}`],
    ['ledger', `${ledger.file}, ${ledgerText(ledger)}`],
    ['telemetry', status.telemetry.address ?? 'off'],
  ]);
  const listeners = table(
    ['listener', 'connections', 'services'],
    status.listeners.map((each) => [each.address, String(each.connections), each.services.join(', ')]),
  );
  const services = table(
    ['service', 'connector', 'agent'],
    status.services.map((each) => [each.name, each.connector, each.agent]),
  );
  return `${summary}\n${listeners}\n${services}`;
}

function ledgerText(ledger: SidecarStatus['ledger']): string {
  if (!ledger.ok) return `NOT RECORDING: ${ledger.reason ?? 'unknown reason'}`;
  return `ok, event ${ledger.seq}${ledger.lag === 0 ? '' : `, ${ledger.lag} waiting`}`;
}

/** The two largest units: `3 d 4 h`, `12 s`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  const shown = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${count} ${unit}`).join(' ');
}
