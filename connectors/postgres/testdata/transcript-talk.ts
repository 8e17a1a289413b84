/** Parts that many transcripts share, on whatever plays them. */
import { createHash } from 'node:crypto';
import { authenticationOk, backendKey, fieldsOf, parameterStatus, ready, startup } from './transcript-messages.ts';
import { ScramServer, type ScramChoices } from './transcript-scram.ts';

type Bytes = Uint8Array | string;

/** The part of `Playbook` that is needed here. */
export interface Talk {
  upstreamSends(sent: Bytes | (() => Bytes)): this;
  upstreamReceives(expected: Bytes | ((bytes: Buffer) => void)): this;
  downstreamReceives(expected: Bytes | ((bytes: Buffer) => void)): this;
}

export const HOST = { host: 'db.example.com', port: 5432 } as const;
export const PASSWORD = 'correct horse battery';
/** A server off this machine that the login may reach in plain, so that transcripts stay short. */
export const PLAIN = { host: HOST.host, username: 'app', password: PASSWORD, sslmode: 'disable' } as const;
export const TLS = { ...PLAIN, sslmode: 'verify-full' } as const;

export const clientStartup = startup([
  ['user', 'whoever'],
  ['database', 'orders'],
]);
export const serverStartup = startup([
  ['user', 'app'],
  ['database', 'orders'],
]);
export const CANCEL_KEY = Buffer.from('k3y!');
/** All that a server says between AuthenticationOk and the first command. */
export const greeting = Buffer.concat([
  parameterStatus('server_version', '17.2'),
  parameterStatus('session_authorization', 'app'),
  backendKey(4711, CANCEL_KEY),
  ready(),
]);

/** Self-signed for db.example.com, P-256, signed with SHA-384. */
export const certificate = Buffer.from(
  'MIIBiDCCAS+gAwIBAgIUHNiYaRLDxhTN7C43nWkPRquwkzkwCgYIKoZIzj0EAwMwGTEXMBUGA1UEAwwOZGIuZXhhbXBsZS5jb20wIBcNMjYxMTIy' +
    'MDM0OTQyWhgPMjEyNjEwMjkwMzQ5NDJaMBkxFzAVBgNVBAMMDmRiLmV4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEUonvE71I' +
    '0LjbDDW9buwBbRvNL46gtHQagDL4z1Fr6Jrmhi6XFmASDPncNdODLxcW9mr4bCCw73j1dqB5LcdyS6NTMFEwHQYDVR0OBBYEFHfTpGdOnzhcPkno' +
    'lFC1XYhMVSsnMB8GA1UdIwQYMBaAFHfTpGdOnzhcPknolFC1XYhMVSsnMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwMDRwAwRAIgVGhOg5WT' +
    'DsdM8FwfYbQn309CGQiMSozjiI8Qj5ovXfACIEYKDUDS3wAe5zyjhQUD6RgV5kLs8QKMhtZYDUZWKQKm',
  'base64',
);
/** RFC 5929 section 4.1: the hash of the certificate by its signature's own hash. */
export const endPoint = createHash('sha384').update(certificate).digest();

/** A whole SCRAM exchange, up to the server's signature. */
export function scram<Played extends Talk>(talk: Played, choices: Partial<ScramChoices> = {}): Played {
  const server = new ScramServer({ password: PASSWORD, ...choices });
  return talk
    .upstreamSends(server.offer())
    .upstreamReceives(server.initial)
    .upstreamSends(server.continue)
    .upstreamReceives(server.response)
    .upstreamSends(server.final);
}

/** AuthenticationOk to ReadyForQuery, seen by the client as sent. */
export function welcome<Played extends Talk>(talk: Played, bytes: Uint8Array = greeting): Played {
  const all = Buffer.concat([authenticationOk, bytes]);
  return talk.upstreamSends(all).downstreamReceives(all);
}

/** One ErrorResponse of that SQLSTATE, in the sidecar's own words. */
export function hearing(sqlstate: string, more: Readonly<Record<string, RegExp | string>> = {}): (bytes: Buffer) => void {
  return (bytes) => {
    const fields = fieldsOf(bytes);
    const wanted = { S: 'FATAL', V: 'FATAL', C: sqlstate, D: /^correlation id conn-7/, H: /./, M: /./, ...more };
    for (const [type, value] of Object.entries(wanted)) {
      const found = fields[type] ?? '';
      const isRight = typeof value === 'string' ? found === value : value.test(found);
      if (!isRight) throw new Error(`field ${type} is ${JSON.stringify(found)}, not ${String(value)}`);
    }
    if (/example\.com|app|horse/.test(JSON.stringify(fields))) throw new Error('a host, a user or a secret is told');
  };
}
