import { foldName } from '../../src/connector/head.ts';
import { idOf, type HostileCase } from './hostile-case.ts';
import type { Seen } from './recorder.ts';
import { readFramed, valuesOf } from './strict-reader.ts';

/** One use that the pipeline let through, in the order it did. */
export interface Admitted {
  readonly method: string;
  /** Without the query, as the ledger has it. */
  readonly path: string;
  /** Bytes of the body as read, where the use came to its end. */
  readonly bodyBytes?: number | undefined;
}

export interface Verdict {
  /** What an upstream took for a request and nobody admitted. */
  readonly smuggled: readonly Seen[];
  /** Requests that came to an upstream in another order, on one connection, than they were admitted. */
  readonly disordered: readonly Seen[];
  /** Whole requests whose body is not as long as the one that was read. */
  readonly reframed: readonly Seen[];
  /** Admitted and brought to an end, but no upstream saw it. */
  readonly lost: readonly Admitted[];
}

/** Compares what was admitted with what an upstream read. */
export function compare(admitted: readonly Admitted[], seen: readonly Seen[]): Verdict {
  const waiting = new Map<string, number[]>();
  admitted.forEach(({ method, path }, at) => {
    const key = `${method} ${path}`;
    const places = waiting.get(key);
    if (places === undefined) waiting.set(key, [at]);
    else places.push(at);
  });
  const smuggled: Seen[] = [];
  const disordered: Seen[] = [];
  const reframed: Seen[] = [];
  const last = new Map<number, number>();
  for (const one of seen) {
    const at = waiting.get(`${one.method} ${pathOf(one.target)}`)?.shift();
    if (at === undefined) {
      smuggled.push(one);
      continue;
    }
    if (at < (last.get(one.connection) ?? -1)) disordered.push(one);
    last.set(one.connection, at);
    const { bodyBytes } = admitted[at]!;
    if (one.complete && bodyBytes !== undefined && bodyBytes !== one.body.length) reframed.push(one);
  }
  const left = [...waiting.values()].flat().map((at) => admitted[at]!);
  return { smuggled, disordered, reframed, lost: left.filter(({ bodyBytes }) => bodyBytes !== undefined) };
}

/** What an upstream took for a request, or for its body, where a strict reader of the case finds another or none. */
export function beyondReading(cases: readonly HostileCase[], seen: readonly Seen[]): Seen[] {
  const byId = new Map(cases.map((one) => [one.id, one]));
  const bySameCase = Map.groupBy(seen, ({ target }) => idOf(target));
  return [...bySameCase].flatMap(([id, requests]) => {
    const hostile = id === undefined ? undefined : byId.get(id);
    // An edit may have spoilt the id of the first request; the one behind it always has its own.
    if (hostile === undefined) return [];
    const { messages } = readFramed(hostile.bytes);
    return requests.filter(
      (request) =>
        !messages.some(
          ({ method, target, body }) =>
            method === request.method &&
            target === request.target &&
            (request.complete ? body === request.body : body.startsWith(request.body)),
        ),
    );
  });
}

export function pathOf(target: string): string {
  return target.split(/[?#]/, 1)[0]!;
}

/** A tab may stand inside a value (RFC 9110 section 5.5). */
function isControl(char: string): boolean {
  return (char < ' ' && char !== '\t') || char === '\x7f';
}

/** Why a request is not in the one form that the sidecar sends; undefined where it is. */
export function formProblem(seen: Seen, host: string, header: string, secret: string): string | undefined {
  const names = seen.fields.map(([name]) => name);
  const copies = seen.fields.filter(([name]) => foldName(name) === foldName(header));
  if (copies.length !== 1 || copies[0]![1] !== secret) return `${copies.length} copies of the injected field`;
  const hosts = seen.fields.filter(([name]) => foldName(name) === 'host');
  if (hosts.length !== 1 || hosts[0]![1] !== host) return `Host is ${JSON.stringify(hosts)}`;
  const framing = names.filter((name) => ['content-length', 'transfer-encoding'].includes(foldName(name)));
  if (framing.length > 1) return `framed by ${framing.join(' and ')}`;
  if (framing.length === 0 && seen.body !== '') return 'a body that nothing frames';
  if (valuesOf(seen.fields, 'transfer-encoding').some((coding) => coding !== 'chunked'))
    return 'a coding other than chunked';
  if (
    valuesOf(seen.fields, 'content-length').some(
      (length) => String(Number(length)) !== length || Number(length) > Number.MAX_SAFE_INTEGER,
    )
  ) {
    return 'a length that is not canonical';
  }
  if (
    names.some((name) =>
      ['te', 'trailer', 'keep-alive', 'upgrade', 'proxy-connection', 'expect'].includes(foldName(name)),
    )
  ) {
    return `a field of another connection among ${names.join(', ')}`;
  }
  if (seen.strict === undefined) return undefined;
  if ([...seen.strict.head.replaceAll('\r\n', '')].some(isControl)) return 'a control byte';
  if (seen.strict.trailers.length > 0) return 'trailers';
  return undefined;
}
