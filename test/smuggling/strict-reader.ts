/**
 * An independent reader of HTTP/1.1 messages, as narrow as RFC 9112 lets it be: no repair, no guess. It shares nothing
 * with the parsers under test, so that where it and they agree there is one reading.
 */
export interface StrictMessage {
  /** Request line or status line, without its CRLF. */
  readonly line: string;
  /** Head as received, with the blank line. */
  readonly head: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly framing: 'none' | 'length' | 'chunked' | 'close';
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
  /** False where the bytes end before the body does. */
  readonly complete: boolean;
}

export interface StrictRequest extends StrictMessage {
  readonly method: string;
  readonly target: string;
}

export interface StrictAnswer extends StrictMessage {
  readonly status: number;
}

export interface Reading<Message> {
  readonly messages: readonly Message[];
  /** Offset behind the last complete message. */
  readonly end: number;
  /** Why the rest is no message; undefined where it is empty or only unfinished. */
  readonly problem: string | undefined;
}

class Malformed extends Error {}
/** More bytes may still make it a message. */
class Unfinished extends Error {}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110 section 5.5, without the blanks around it. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP\/1\.1$/;
const STATUS_LINE = /^HTTP\/1\.1 ([1-9][0-9]{2}) [\t\x20-\x7e\x80-\xff]*$/;
const BODILESS: ReadonlySet<number> = new Set([204, 304]);

/** For the upstream's side of the sidecar, where nothing but the canonical form may come. */
export function readRequests(bytes: Buffer): Reading<StrictRequest> {
  return readAll(bytes, (text, at) => {
    const [request, end] = readRequest(text, at, (line) => line);
    if (valuesOf(request.fields, 'host').length !== 1) malformed('not exactly one Host');
    return [request, end];
  });
}

/**
 * For the downstream's side: everything that has the frame of a request, wherever it claims to go. Passes over empty
 * lines before a request and doubled blanks in its first line, as servers may (RFC 9112 sections 2.2 and 3).
 */
export function readFramed(bytes: Buffer): Reading<StrictRequest> {
  return readAll(bytes, (text, from) => {
    let at = from;
    while (text[at] === '\r' || text[at] === '\n') at += 1;
    return readRequest(text, at, (line) => line.replace(/ +/g, ' '));
  });
}

function readRequest(text: string, at: number, tidy: (line: string) => string): [StrictRequest, number] {
  const { line, head, fields, next } = readHead(text, at);
  const [, method, target] = REQUEST_LINE.exec(tidy(line)) ?? malformed(`request line ${JSON.stringify(line)}`);
  const framing = framingOf(fields) ?? { kind: 'none' as const };
  const { next: end, ...rest } = readBody(text, next, framing);
  return [{ line, head, fields, method: method!, target: target!, ...rest }, end];
}

/** `methods`: of the requests that were sent, in order; an answer beyond them is a problem. `closed`: nothing will follow. */
export function readAnswers(bytes: Buffer, methods: readonly string[], closed: boolean): Reading<StrictAnswer> {
  let answered = 0;
  return readAll(bytes, (text, at) => {
    const { line, head, fields, next } = readHead(text, at);
    const [, digits] = STATUS_LINE.exec(line) ?? malformed(`status line ${JSON.stringify(line)}`);
    const status = Number(digits);
    const method = methods[answered] ?? malformed('an answer to no request');
    const base = { line, head, fields, status };
    if (status < 200) return [{ ...base, framing: 'none', body: '', trailers: [], complete: true }, next];
    answered += 1;
    const framing = framingOf(fields);
    if (method === 'HEAD' || BODILESS.has(status)) {
      return [{ ...base, framing: 'none', body: '', trailers: [], complete: true }, next];
    }
    if (framing === undefined) {
      return [{ ...base, framing: 'close', body: text.slice(next), trailers: [], complete: closed }, text.length];
    }
    const { next: end, ...rest } = readBody(text, next, framing);
    return [{ ...base, ...rest }, end];
  });
}

export function valuesOf(fields: StrictMessage['fields'], name: string): string[] {
  return fields.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
}

function readAll<Message extends StrictMessage>(
  bytes: Buffer,
  readOne: (text: string, at: number) => [Message, number],
): Reading<Message> {
  const text = bytes.toString('latin1');
  const messages: Message[] = [];
  let at = 0;
  try {
    while (at < text.length) {
      const [message, next] = readOne(text, at);
      messages.push(message);
      if (!message.complete) break;
      at = next;
    }
  } catch (thrown) {
    if (thrown instanceof Malformed) return { messages, end: at, problem: thrown.message };
    if (!(thrown instanceof Unfinished)) throw thrown;
  }
  return { messages, end: at, problem: undefined };
}

function malformed(reason: string): never {
  throw new Malformed(reason);
}

function readHead(text: string, at: number) {
  const blank = text.indexOf('\r\n\r\n', at);
  if (blank < 0) throw new Unfinished();
  const head = text.slice(at, blank + 4);
  const lines = text.slice(at, blank).split('\r\n');
  return { line: lines[0]!, head, fields: lines.slice(1).map(readField), next: blank + 4 };
}

function readField(line: string): readonly [string, string] {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(colon, 0));
  const value = line.slice(colon + 1);
  if (!TOKEN.test(name)) malformed(`field name ${JSON.stringify(line)}`);
  if (!VALUE.test(value)) malformed(`field value ${JSON.stringify(line)}`);
  return [name, value.replace(/^[\t ]+|[\t ]+$/g, '')];
}

type Framing = { kind: 'none' } | { kind: 'length'; length: number } | { kind: 'chunked' };

/** RFC 9112 section 6: exactly one of the two, in its one canonical spelling. */
function framingOf(fields: StrictMessage['fields']): Framing | undefined {
  const lengths = valuesOf(fields, 'content-length');
  const codings = valuesOf(fields, 'transfer-encoding');
  if (lengths.length + codings.length > 1) malformed('more than one framing field');
  if (codings.length === 1) {
    if (codings[0]!.toLowerCase() !== 'chunked') malformed('a transfer coding other than chunked');
    return { kind: 'chunked' };
  }
  if (lengths.length === 0) return undefined;
  if (!/^[0-9]+$/.test(lengths[0]!)) malformed('a length that is no number');
  return { kind: 'length', length: Number(lengths[0]) };
}

type ReadBody = Pick<StrictMessage, 'framing' | 'body' | 'trailers' | 'complete'> & { readonly next: number };

function readBody(text: string, at: number, framing: Framing): ReadBody {
  switch (framing.kind) {
    case 'none':
      return { framing: 'none', body: '', trailers: [], complete: true, next: at };
    case 'length': {
      const next = at + framing.length;
      return { framing: 'length', body: text.slice(at, next), trailers: [], complete: next <= text.length, next };
    }
    case 'chunked':
      return readChunks(text, at);
    default:
      throw new Error(framing satisfies never);
  }
}

function readChunks(text: string, from: number): ReadBody {
  let body = '';
  let at = from;
  const partial = (): ReadBody => ({ framing: 'chunked', body, trailers: [], complete: false, next: text.length });
  for (;;) {
    const eol = text.indexOf('\r\n', at);
    if (eol < 0) return partial();
    const [, digits] =
      /^(0*[0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e]*)?$/.exec(text.slice(at, eol)) ?? malformed('chunk size');
    const size = parseInt(digits!, 16);
    at = eol + 2;
    if (size === 0) break;
    body += text.slice(at, at + size);
    at += size;
    if (text.length < at + 2) return partial();
    if (text.slice(at, at + 2) !== '\r\n') malformed('chunk without its CRLF');
    at += 2;
  }
  if (text.startsWith('\r\n', at)) return { framing: 'chunked', body, trailers: [], complete: true, next: at + 2 };
  const blank = text.indexOf('\r\n\r\n', at);
  if (blank < 0) return partial();
  const trailers = text.slice(at, blank).split('\r\n').map(readField);
  return { framing: 'chunked', body, trailers, complete: true, next: blank + 4 };
}
