import type { IncomingMessage } from 'node:http';
import { AwsRefusal } from './refusal.ts';

/** A request as it came over the wire; strings hold one byte a character (latin1). */
export interface ReceivedHead {
  readonly method: string;
  /** Before the first `?`. */
  readonly path: string;
  /** After the first `?`; empty where there is none. */
  readonly query: string;
  /** Every header line in its order, names in lower case. */
  readonly lines: readonly (readonly [name: string, value: string])[];
}

export function readHead(request: IncomingMessage): ReceivedHead {
  const target = request.url!;
  const mark = target.indexOf('?');
  const raw = request.rawHeaders;
  const lines = raw.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), raw[at + 1]!] as const] : []));
  return {
    method: request.method!,
    path: mark < 0 ? target : target.slice(0, mark),
    query: mark < 0 ? '' : target.slice(mark + 1),
    lines,
  };
}

/** The value of a header that may stand once. Errors: 400 where it stands twice. */
export function onlyHeader(head: ReceivedHead, name: string): string | undefined {
  const values = head.lines.filter(([each]) => each === name).map(([, value]) => value);
  if (values.length > 1) throw new AwsRefusal(400, 'InvalidRequest', `The header ${name} was given more than once.`);
  return values[0];
}

/** Bytes of a percent-encoded text; what is no valid escape stands for itself. */
export function percentDecode(text: string): Buffer {
  const bytes = text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1');
}

/** Parameters of a query or a form, decoded; `+` is a space. */
export function parameters(query: string): [name: string, value: string][] {
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const [name, value = ''] = cutAt(pair.replaceAll('+', ' '), '=');
      return [percentDecode(name).toString('utf8'), percentDecode(value).toString('utf8')];
    });
}

/** Text before and after the first separator; the second is absent where there is none. */
export function cutAt(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}
