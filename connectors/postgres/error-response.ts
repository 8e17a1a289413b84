import type { SidecarError } from 'secretless-sidecar/connector';
import { cStringAt, frameOf, TYPE } from './frame.ts';
import { sqlstateOf } from './sqlstate.ts';

const SEVERITY = 'FATAL';

/**
 * ErrorResponse in the words of the error table and nothing else: no host, user, provider text or detail.
 * PostgreSQL protocol, "Error and Notice Message Fields".
 */
export function errorResponse(error: SidecarError, id: string, sqlstate = sqlstateOf(error.code)): Buffer {
  const isRule = error.code === 'policy-denied' || error.code === 'rate-limited';
  const rule = isRule && error.rule !== undefined ? `, rule ${error.rule}` : '';
  const fields: readonly (readonly [string, string])[] = [
    ['S', SEVERITY],
    // The severity that no language setting translates, since protocol 3.0 of server 9.6.
    ['V', SEVERITY],
    ['C', sqlstate],
    ['M', error.sentence],
    ['D', `correlation id ${id}${rule}`],
    ['H', error.next],
  ];
  return frameOf(TYPE.error, Buffer.from(`${fields.map(([type, text]) => `${type}${plain(text)}\0`).join('')}\0`));
}

/** A NUL would end a field early. */
function plain(text: string): string {
  return text.replaceAll('\0', '');
}

/** The answer to a version before 3, which knows no fields: the text and a NUL. */
export function oldErrorResponse(error: SidecarError, id: string): Buffer {
  return Buffer.from(`E${SEVERITY}:  ${error.sentence} (correlation id ${id})\n\0`);
}

/** SQLSTATE of an upstream's ErrorResponse; undefined where there is none, or the fields do not parse. */
export function sqlstateIn(body: Buffer): string | undefined {
  let found: string | undefined;
  for (let at = 0; at < body.length;) {
    const type = body[at]!;
    if (type === 0) return at + 1 === body.length ? found : undefined;
    const field = cStringAt(body, at + 1);
    if (field === undefined) return undefined;
    if (type === 0x43) {
      const text = field.value.toString('latin1');
      if (!/^[0-9A-Z]{5}$/.test(text)) return undefined;
      found ??= text;
    }
    at = field.next;
  }
  return undefined;
}
