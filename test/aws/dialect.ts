import type { AwsRefusal } from './refusal.ts';

/** How a request speaks, and how it is answered. */
export type Shape = 's3' | 'json' | 'query' | 'rest';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: Buffer | string;
  /** Instead of `body`: so many bytes that nobody keeps. */
  readonly zeros?: number;
}

export function xmlText(text: string): string {
  return text.replace(/[&<>"\r]/g, (char) => `&#${char.charCodeAt(0)};`);
}

export interface XmlFields {
  readonly [name: string]: XmlValue;
}
type XmlValue = string | number | boolean | undefined | XmlFields | readonly XmlFields[] | readonly string[];

/** Elements by name; an array repeats its element. */
export function xml(fields: XmlFields): string {
  return Object.entries(fields)
    .flatMap(([name, value]) =>
      (Array.isArray(value) ? (value as XmlValue[]) : [value]).map((one) => [name, one] as const),
    )
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => {
      const inner = typeof value === 'object' ? xml(value as XmlFields) : xmlText(String(value));
      return `<${name}>${inner}</${name.split(' ')[0]}>`;
    })
    .join('');
}

export function xmlAnswer(fields: XmlFields, status = 200): Answer {
  return {
    status,
    headers: { 'content-type': 'application/xml' },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n${xml(fields)}`,
  };
}

export function refusalAnswer(shape: Shape, { status, code, message }: AwsRefusal, requestId: string): Answer {
  if (shape === 's3') return xmlAnswer({ Error: { Code: code, Message: message, RequestId: requestId } }, status);
  if (shape === 'query') {
    const error = { Type: status < 500 ? 'Sender' : 'Receiver', Code: code, Message: message };
    return xmlAnswer({ ErrorResponse: { Error: error, RequestId: requestId } }, status);
  }
  return {
    status,
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amzn-errortype': code },
    body: JSON.stringify({ __type: code, message }),
  };
}
