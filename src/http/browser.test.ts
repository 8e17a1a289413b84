import { describe, expect, test } from 'vitest';
import type { Origin } from '../connector/origin.ts';
import { SidecarError } from '../error.ts';
import { refuseBrowsers, type Exposure } from './browser.ts';

const TARGET: Origin = { scheme: 'https', host: 'api.example.com', port: 443 };

/** Code of the refusal; undefined where the request passes. */
function refusal(exposure: Exposure, host: string | undefined, ...fields: string[]): string | undefined {
  return refusalFor(TARGET, exposure, host, ...fields);
}

function refusalFor(
  target: Origin | undefined,
  exposure: Exposure,
  host: string | undefined,
  ...fields: string[]
): string | undefined {
  const headers = [...(host === undefined ? [] : ['Host', host]), ...fields];
  try {
    refuseBrowsers(exposure, { method: 'GET', target: '/', headers }, target);
    return undefined;
  } catch (error) {
    if (error instanceof SidecarError) return error.code;
    throw error;
  }
}

const LOOPBACK_HOSTS = ['localhost', 'LOCALHOST:8081', 'a.localhost', '127.0.0.1', '127.9.9.9:80', '[::1]:8081'];
const TARGET_HOSTS = ['api.example.com', 'API.example.com:443'];
const NETWORK_HOSTS = [
  '10.1.2.3:8081',
  '203.0.113.9',
  '[2001:db8::1]:8081',
  'sidecar',
  'sidecar_1:8081',
  'sidecar.tools.svc',
  'sidecar.tools.svc.cluster.local:8081',
  'box.local',
  'host.docker.internal:8081',
];
const FOREIGN_HOSTS = [
  'evil.example',
  'evil.example:8081',
  'local.evil.example',
  'api.example.com.evil.example',
  'svc.evil.example',
  'sidecar.svc.example',
  'notlocal.evil',
  '127.0.0.1.evil.example',
];

describe('Host', () => {
  test.each([...LOOPBACK_HOSTS, ...TARGET_HOSTS])('%s passes on every TCP listener', (host) => {
    expect(refusal('loopback', host)).toBeUndefined();
    expect(refusal('network', host)).toBeUndefined();
  });

  test.each(NETWORK_HOSTS)('%s passes on a network listener alone', (host) => {
    expect(refusal('network', host)).toBeUndefined();
    expect(refusal('loopback', host)).toBe('host-mismatch');
  });

  test.each(FOREIGN_HOSTS)('%s, which a rebinding page may have for a name, is refused', (host) => {
    expect(refusal('loopback', host)).toBe('host-mismatch');
    expect(refusal('network', host)).toBe('host-mismatch');
    // Its own name for Origin as well: the page is same-origin to its browser.
    expect(refusal('network', host, 'Origin', `http://${host}`)).toBe('host-mismatch');
  });

  test('that is malformed is refused, and its absence is not', () => {
    expect(refusal('network', 'a b')).toBe('request-malformed');
    expect(refusal('loopback', '127.1')).toBe('request-malformed');
    expect(refusal('network', '2130706433')).toBe('request-malformed');
    expect(refusal('network', undefined)).toBeUndefined();
  });
});

describe('Origin', () => {
  test.each(['http://localhost:3000', 'https://127.0.0.1', 'http://[::1]:5173', 'https://api.example.com'])(
    '%s passes on every TCP listener',
    (origin) => {
      expect(refusal('loopback', 'localhost:8081', 'Origin', origin)).toBeUndefined();
      expect(refusal('network', 'sidecar:8081', 'oRiGiN', origin)).toBeUndefined();
    },
  );

  test.each([
    'https://evil.example',
    'http://evil.example:8081',
    'http://localhost.evil.example',
    'http://localhost@evil.example',
    'http://localhost:3000/evil',
    'http://api.example.com',
    'https://api.example.com:8443',
    'http://10.0.0.1',
    'null',
    'NULL',
    '',
    'localhost',
    'file://',
    'ftp://localhost',
    'chrome-extension://abcdefghijklmnop',
    'http://localhost https://evil.example',
    'http://localhost, https://evil.example',
  ])('"%s" is refused on every TCP listener', (origin) => {
    expect(refusal('loopback', 'localhost:8081', 'Origin', origin)).toBe('origin-refused');
    expect(refusal('network', 'sidecar:8081', 'Origin', origin)).toBe('origin-refused');
  });

  test('of the authority that Host names passes on a network listener alone', () => {
    expect(refusal('network', 'sidecar:8081', 'Origin', 'http://sidecar:8081')).toBeUndefined();
    expect(refusal('network', '10.0.0.1', 'Origin', 'https://10.0.0.1')).toBeUndefined();
    expect(refusal('network', 'sidecar:8081', 'Origin', 'http://sidecar:8082')).toBe('origin-refused');
    expect(refusal('network', 'sidecar:8081', 'Origin', 'http://other:8081')).toBe('origin-refused');
    expect(refusal('network', undefined, 'Origin', 'http://sidecar:8081')).toBe('origin-refused');
    expect(refusal('loopback', 'sidecar', 'Origin', 'http://sidecar')).toBe('host-mismatch');
  });

  test('written more than once must pass each time', () => {
    const [ours, foreign] = ['http://localhost', 'https://evil.example'];
    expect(refusal('loopback', 'localhost', 'Origin', ours, 'Origin', ours)).toBeUndefined();
    expect(refusal('loopback', 'localhost', 'Origin', ours, 'Origin', foreign)).toBe('origin-refused');
    expect(refusal('loopback', 'localhost', 'Origin', foreign, 'Origin', ours)).toBe('origin-refused');
  });
});

describe('without a target of the operator', () => {
  const free = (exposure: Exposure, host: string | undefined, ...fields: string[]) =>
    refusalFor(undefined, exposure, host, ...fields);

  test.each(LOOPBACK_HOSTS)('Host %s passes on every TCP listener', (host) => {
    expect(free('loopback', host)).toBeUndefined();
    expect(free('network', host)).toBeUndefined();
  });

  test.each(NETWORK_HOSTS)('Host %s passes on a network listener alone', (host) => {
    expect(free('network', host)).toBeUndefined();
    expect(free('loopback', host)).toBe('host-mismatch');
  });

  test.each([...TARGET_HOSTS, ...FOREIGN_HOSTS])('Host %s, which is no name of the listener, is refused', (host) => {
    expect(free('loopback', host)).toBe('host-mismatch');
    expect(free('network', host)).toBe('host-mismatch');
  });

  test('Origin passes from this machine and from the listener itself, and from nowhere else', () => {
    expect(free('loopback', 'localhost', 'Origin', 'http://localhost:3000')).toBeUndefined();
    expect(free('network', 'sidecar:8081', 'Origin', 'http://sidecar:8081')).toBeUndefined();
    expect(free('loopback', 'localhost', 'Origin', 'https://api.example.com')).toBe('origin-refused');
    expect(free('network', 'sidecar:8081', 'Origin', 'https://evil.example')).toBe('origin-refused');
    expect(free('loopback', 'localhost', 'Sec-Fetch-Site', 'cross-site')).toBe('origin-refused');
    expect(free('socket', 'evil.example', 'Origin', 'https://evil.example')).toBeUndefined();
  });
});

test('Sec-Fetch-Site: cross-site is refused on every TCP listener', () => {
  for (const exposure of ['loopback', 'network'] as const) {
    expect(refusal(exposure, 'localhost', 'Sec-Fetch-Site', ' Cross-Site ')).toBe('origin-refused');
    expect(refusal(exposure, 'localhost', 'Sec-Fetch-Site', 'same-origin')).toBeUndefined();
  }
});

test('no browser reaches a Unix socket, so nothing is looked at there', () => {
  const fields = ['Origin', 'https://evil.example', 'Sec-Fetch-Site', 'cross-site'];
  expect(refusal('socket', 'evil.example', ...fields)).toBeUndefined();
});
