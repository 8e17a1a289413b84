/**
 * A kit for authors of connectors, published as `secretless-sidecar/connector/testing`: what every connector has to
 * keep, as named checks for any test runner; `Playbook`, to test a login against the transcript of a conversation; and
 * `RelayRehearsal`, a connection in memory for connectors that lead the whole of it.
 */
import type { Duplex } from 'node:stream';
import type { Credentials } from '../credential/lease.ts';
import { Secret } from '../credential/secret.ts';
import { SidecarError } from '../error.ts';
import type { Connector } from './connector.ts';
import type { RequestHead } from './head.ts';
import { descriptionChecks } from './testing-description.ts';
import { httpChecks } from './testing-http.ts';
import { relayChecks, silent } from './testing-relay.ts';
import { streamChecks } from './testing-stream.ts';

export { EndlessLogin, perform, STEPS_MAX, type Performer, type StepOf } from './perform.ts';
export { cutEverywhere } from './playbook-cuts.ts';
export { Playbook, type AuthorizeExpectations, type Outcome, type PlaybookOptions } from './playbook.ts';
export { RelayRehearsal, type Dialled, type RelayScript } from './relay-rehearsal.ts';
export { Rehearsal, type Remembered, type Replies } from './rehearsal.ts';
export { TranscriptMismatch, type Expected, type Sent } from './transcript.ts';

/** One service to try a connector with. Its credentials must all be used, and be no shorter than 8 characters. */
export interface ConnectorSample {
  /** The service's `config`. */
  readonly config: unknown;
  readonly credentials: Readonly<Record<string, string>>;
  /** A second set, as after a rotation; default: the first with every letter and digit moved on by one. */
  readonly rotated?: Readonly<Record<string, string>>;
  /**
   * For kind `stream`: what a client sends first, in hex (blanks are allowed). It has to lead, with the sample's
   * credentials, to a permission being asked and the upstream being dialled; empty where the server speaks first.
   * For kind `relay`: what a client sends first; it need not lead anywhere.
   */
  readonly opening?: string;
  /**
   * For kind `relay`, where answers of the relay decide what a client says: one that connects, uses the service, and
   * ends. It has to lead to a permission being asked. Whatever it meets, it gives up within 5 s; it may throw.
   */
  readonly converse?: (client: Duplex) => Promise<void>;
  /**
   * For kind `http`, where the service has a `begin`: makes a request one that it takes, with a Host and signed with the
   * agent's own key where it asks for one. Default: the request as it is.
   */
  readonly present?: (head: RequestHead, now: Date) => RequestHead;
  /** For kind `http`: the query is written anew, with the same parameters, as a signature over it may demand. */
  readonly rewritesQuery?: boolean;
}

export interface ConformanceCheck {
  /** A sentence: what the connector keeps. */
  readonly name: string;
  /** Throws Error where it does not. */
  readonly run: () => void | Promise<void>;
}

export interface ConformanceFinding {
  readonly check: string;
  readonly problem: string;
}

/** Every check for this connector; each stands alone: `for (const { name, run } of …) test(name, run)`. */
export function conformanceChecks(connector: Connector, sample: ConnectorSample): readonly ConformanceCheck[] {
  const present = (head: RequestHead): RequestHead => head;
  const whole = {
    opening: '',
    present,
    rewritesQuery: false,
    converse: silent,
    ...sample,
    rotated: sample.rotated ?? rotatedOf(sample.credentials),
  };
  const checks = descriptionChecks(connector, whole);
  switch (connector.kind) {
    case 'http':
      return [...checks, ...httpChecks(connector, whole)];
    case 'stream':
      return [...checks, ...streamChecks(connector, whole)];
    case 'relay':
      return [...checks, ...relayChecks(connector, whole)];
    default:
      return connector satisfies never;
  }
}

/** Runs every check; an empty list is the good answer. */
export async function inspectConnector(connector: Connector, sample: ConnectorSample): Promise<ConformanceFinding[]> {
  const findings: ConformanceFinding[] = [];
  for (const { name, run } of conformanceChecks(connector, sample)) {
    try {
      await run();
    } catch (error) {
      findings.push({ check: name, problem: error instanceof Error ? error.message : String(error) });
    }
  }
  return findings;
}

/** Credentials as a lease would hold them. */
export function credentialsOf(values: Readonly<Record<string, string | Uint8Array>>): Credentials {
  const secrets = new Map(Object.entries(values).map(([name, value]) => [name, new Secret(value)]));
  return {
    names: [...secrets.keys()],
    has: (name) => secrets.has(name),
    get(name) {
      const secret = secrets.get(name);
      if (secret === undefined) throw new SidecarError('credential-missing', { detail: `credential "${name}"` });
      return secret;
    },
  };
}

/** A head with frozen headers; a list of values makes one line of the field for each. */
export function requestHead(
  method: string,
  target: string,
  headers: Readonly<Record<string, string | readonly string[]>> = {},
): RequestHead {
  const flat = Object.entries(headers).flatMap(([name, value]) => [value].flat().flatMap((line) => [name, line]));
  return Object.freeze({ method, target, headers: Object.freeze(flat) });
}

function rotatedOf(credentials: Readonly<Record<string, string>>): Record<string, string> {
  const moved = (text: string): string => text.replace(/[0-8a-yA-Y]|[9zZ]/g, (one) => NEXT[one] ?? next(one));
  return Object.fromEntries(Object.entries(credentials).map(([name, value]) => [name, moved(value)]));
}

const NEXT: Readonly<Record<string, string>> = { '9': '0', z: 'a', Z: 'A' };

function next(character: string): string {
  return String.fromCharCode(character.charCodeAt(0) + 1);
}
