import { hash } from 'node:crypto';
import type { Principal } from '../policy/request.ts';
import { boundedJson, type Bound } from './bounded.ts';
import type { RecordedEvent } from './event.ts';
import { printableText } from './printable-text.ts';

/** The newest line of a chain. */
export interface Tip {
  readonly seq: number;
  /** SHA-256 of the line's bytes without the newline, in hex. */
  readonly hash: string;
}

/** Before line 1. */
export const GENESIS: Tip = { seq: 0, hash: '0'.repeat(64) };

export function hashLine(line: string | Uint8Array): string {
  return hash('sha256', line, 'hex');
}

type AllFields<Union> = Union extends unknown ? keyof Union : never;
type Flat<Union> = {
  [Field in AllFields<Union>]?: (Union extends Partial<Record<Field, infer Value>> ? Value : never) | undefined;
};
/** Any event, seen as the optional fields of all. */
type AnyEvent = Flat<RecordedEvent>;

/** What a client chooses the length of, and what is a name by nature: nobody can fill the ledger with a few lines. */
const LONG: Bound = { bytesMax: 512, kept: 400 };
const METHOD: Bound = { bytesMax: 32, kept: 32 };
const NAME: Bound = { bytesMax: 256, kept: 200 };
const SHORT_NAME: Bound = { bytesMax: 128, kept: 100 };

/** One line without its newline. Fields come in one fixed order, absent ones are left out. */
export function formatLine(event: RecordedEvent, atMs: number, seq: number, prev: string): string {
  const any: AnyEvent = event;
  return (
    `{"time":"${stamp(atMs)}","seq":${seq},"type":"${event.type}"` +
    text('id', any.id) +
    text('service', any.service) +
    text('connector', any.connector) +
    text('listener', any.listener) +
    (any.principal === undefined ? '' : principalText(any.principal)) +
    text('rule', any.rule) +
    text('result', any.result) +
    text('reason', any.reason, LONG) +
    text('upstream', any.upstream, LONG) +
    text('method', any.method, METHOD) +
    (any.path === undefined ? '' : text('path', withoutQuery(any.path), LONG)) +
    text('database', any.database) +
    text('request', any.request) +
    text('user', shown(any.user)) +
    text('command', shown(any.command), LONG) +
    text('destination', shown(any.destination)) +
    (any.forwarded === true ? ',"forwarded":true' : '') +
    text('delivery', any.delivery) +
    number('status', any.status) +
    number('exchanges', any.exchanges) +
    number('bytesUp', any.bytesUp) +
    number('bytesDown', any.bytesDown) +
    number('ms', any.ms) +
    record('credentials', any.credentials) +
    number('count', any.count) +
    text('version', any.version) +
    number('services', any.services) +
    record('previous', any.previous) +
    record('lost', any.lost) +
    number('removedBytes', any.removedBytes) +
    text('since', any.since) +
    number('refused', any.refused) +
    number('dropped', any.dropped) +
    `,"prev":"${prev}"}`
  );
}

const QUERY = /[?#]/;

/** What the chain needs to know of a line; undefined where it is not a line of a ledger. */
export interface ParsedLine {
  readonly seq: number;
  readonly prev: string;
  readonly type: string;
  readonly lost: { readonly first: number; readonly last: number } | undefined;
}

export function parseLine(line: string): ParsedLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { seq, prev, type, lost } = value as Record<string, unknown>;
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 1) return undefined;
  if (typeof prev !== 'string' || !/^[0-9a-f]{64}$/.test(prev) || typeof type !== 'string') return undefined;
  return { seq, prev, type, lost: type === 'ledger.recovered' ? range(lost) : undefined };
}

function range(value: unknown): ParsedLine['lost'] {
  if (typeof value !== 'object' || value === null) return undefined;
  const { first, last } = value as Record<string, unknown>;
  return typeof first === 'number' && typeof last === 'number' ? { first, last } : undefined;
}

function text(name: string, value: string | undefined, bound = NAME): string {
  return value === undefined ? '' : `,"${name}":${boundedJson(value, bound)}`;
}

function shown(value: string | undefined): string | undefined {
  return value === undefined ? undefined : printableText(value);
}

/** Numbers to a thousandth; one that is not finite has no JSON form and is written as null. */
function number(name: string, value: number | undefined): string {
  if (value === undefined) return '';
  if (Number.isInteger(value)) return `,"${name}":${value}`;
  return `,"${name}":${Number.isFinite(value) ? Math.round(value * 1000) / 1000 : 'null'}`;
}

function record(name: string, value: object | undefined): string {
  return value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`;
}

function withoutQuery(path: string): string {
  const end = path.search(QUERY);
  return end < 0 ? path : path.slice(0, end);
}

/** Principals live as long as their listener or session, so their text is made once. */
const principalTexts = new WeakMap<Principal, string>();

/** `,"principal":{…}`; the same text for the same principal. */
export function principalText(principal: Principal): string {
  let known = principalTexts.get(principal);
  if (known === undefined) {
    const { agent, tenant, run, tool, attested, attributes } = principal;
    const fields =
      text('agent', agent, SHORT_NAME) +
      text('tenant', tenant, SHORT_NAME) +
      text('run', run, SHORT_NAME) +
      text('tool', tool, SHORT_NAME) +
      text('attested', attested, SHORT_NAME) +
      attributesText(attributes);
    known = `,"principal":{${fields.slice(1)}}`;
    principalTexts.set(principal, known);
  }
  return known;
}

/** Attributes that are too long become one text, cut like any other. */
function attributesText(attributes: Principal['attributes']): string {
  if (attributes === undefined) return '';
  const json = JSON.stringify(attributes);
  return json.length <= LONG.bytesMax ? `,"attributes":${json}` : text('attributes', json, LONG);
}

let stampedMs = Number.NaN;
let stamped = '';

function stamp(atMs: number): string {
  if (atMs !== stampedMs) {
    stamped = new Date(atMs).toISOString();
    stampedMs = atMs;
  }
  return stamped;
}
