/** One element of DER (X.690): its tag and its content. Nothing is copied. */
export interface DerElement {
  readonly tag: number;
  readonly content: Buffer;
  /** Where the next one begins in the bytes it was read from. */
  readonly next: number;
}

export const SEQUENCE = 0x30;
export const OBJECT_IDENTIFIER = 0x06;

/** The element at `at`; undefined where there is none that fits. Long tags and indefinite lengths are not read. */
export function derAt(bytes: Buffer, at: number): DerElement | undefined {
  const tag = bytes[at];
  const short = bytes[at + 1];
  if (tag === undefined || short === undefined || (tag & 0x1f) === 0x1f) return undefined;
  let begin = at + 2;
  let length = short;
  if (short >= 0x80) {
    const size = short & 0x7f;
    if (size === 0 || size > 4 || begin + size > bytes.length) return undefined;
    length = bytes.readUIntBE(begin, size);
    begin += size;
  }
  if (begin + length > bytes.length) return undefined;
  return { tag, content: bytes.subarray(begin, begin + length), next: begin + length };
}

/** The elements inside, at most `max` of them; undefined where they do not fill it. */
export function derChildren(bytes: Buffer, max = 8): readonly DerElement[] | undefined {
  const children: DerElement[] = [];
  for (let at = 0; at < bytes.length;) {
    const child = children.length < max ? derAt(bytes, at) : undefined;
    if (child === undefined) return undefined;
    children.push(child);
    at = child.next;
  }
  return children;
}

/** `1.2.840.113549.1.1.11` of the content of an OBJECT IDENTIFIER; undefined where a part is out of bounds. */
export function objectIdentifier(content: Buffer): string | undefined {
  const parts: number[] = [];
  let part = 0;
  for (const byte of content) {
    part = part * 128 + (byte & 0x7f);
    if (part > 0xffff_ffff) return undefined;
    if ((byte & 0x80) !== 0) continue;
    // X.690 section 8.19.4: the first two parts share one number.
    if (parts.length === 0)
      parts.push(Math.min(2, Math.floor(part / 40)), part - 40 * Math.min(2, Math.floor(part / 40)));
    else parts.push(part);
    part = 0;
  }
  return parts.join('.');
}
