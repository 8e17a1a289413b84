import type { Kind } from './kind.ts';

/** What an error answer says, in any form. */
export interface Told {
  readonly code: string;
  readonly message: string;
  readonly id: string;
  /** Whether the sender is to blame; the query protocol says so. */
  readonly senders: boolean;
}

export interface Written {
  readonly contentType: string;
  readonly body: Buffer;
}

export function writeBody(kind: Kind, told: Told): Written {
  const { code, message } = told;
  switch (kind) {
    case 'json-1.0':
    case 'json-1.1':
      return { contentType: `application/x-amz-${kind}`, body: json(code, message) };
    case 'rest-json':
      return { contentType: 'application/json', body: json(code, message) };
    case 'cbor':
      return { contentType: 'application/cbor', body: cborMap({ __type: code, message: wellFormed(message) }) };
    case 's3':
      return xml(`<Error>${coded(told)}<RequestId>${text(told.id)}</RequestId></Error>`, 'application/xml');
    case 'query': {
      const type = told.senders ? 'Sender' : 'Receiver';
      const error = `<Error><Type>${type}</Type>${coded(told)}</Error><RequestId>${text(told.id)}</RequestId>`;
      return xml(`<ErrorResponse>${error}</ErrorResponse>`, 'text/xml');
    }
    case 'ec2': {
      const errors = `<Errors><Error>${coded(told)}</Error></Errors><RequestID>${text(told.id)}</RequestID>`;
      return xml(`<Response>${errors}</Response>`, 'text/xml');
    }
    default:
      return kind satisfies never;
  }
}

function json(code: string, message: string): Buffer {
  return Buffer.from(JSON.stringify({ __type: code, message: wellFormed(message) }));
}

function xml(root: string, contentType: string): Written {
  return { contentType, body: Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${root}`) };
}

function coded({ code, message }: Told): string {
  return `<Code>${text(code)}</Code><Message>${text(message)}</Message>`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

function text(value: string): string {
  return (
    wellFormed(value)
      // XML 1.0 section 2.2: these cannot be written at all.
      // eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
      .replace(/[&<>"']/g, (character) => ESCAPES[character]!)
  );
}

function wellFormed(value: string): string {
  return value.toWellFormed();
}

/** RFC 8949: a map of text strings, of fewer than 24 members. */
function cborMap(members: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(members);
  const parts: Buffer[] = [Buffer.of(0xa0 + entries.length)];
  for (const [name, value] of entries) parts.push(cborText(name), cborText(value));
  return Buffer.concat(parts);
}

function cborText(value: string): Buffer {
  const bytes = Buffer.from(value);
  const { length } = bytes;
  if (length < 24) return Buffer.concat([Buffer.of(0x60 + length), bytes]);
  const head = Buffer.alloc(length < 0x1_00 ? 2 : length < 0x1_00_00 ? 3 : 5);
  head[0] = 0x76 + head.length;
  if (head.length === 5) head[0] = 0x7a;
  head.writeUIntBE(length, 1, head.length - 1);
  return Buffer.concat([head, bytes]);
}
