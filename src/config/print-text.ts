import { Document, isScalar, Scalar, visit } from 'yaml';
import { resolveScalar } from './scalar.ts';

/**
 * A normalised configuration as YAML that loads again as the same. A YAML 1.2 writer leaves texts like `yes` and
 * `1_000` without quotes, which version 2 files read as something else.
 */
export function printText(normalized: unknown): string {
  const document = new Document(normalized);
  visit(document, {
    Scalar: (key, node) => {
      // Keys are always text.
      if (key === 'key' || !isScalar(node) || typeof node.value !== 'string') return;
      if (resolveScalar(node.value).value !== node.value) node.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return document.toString();
}
