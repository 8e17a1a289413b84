/** Where AWS credentials come from: the `get` of the provider `aws-credentials`, and the `base` of those that build on it. */
export type ChainId =
  | { readonly kind: 'default' | 'environment' | 'web-identity' | 'container' | 'instance' }
  | { readonly kind: 'profile'; readonly name: string };

const PLAIN = ['default', 'environment', 'web-identity', 'container', 'instance'] as const;

export const CHAIN_ID_PATTERN = `^(${PLAIN.join('|')}|profile:[^\\u0000-\\u001f\\]#]{1,128})$`;

/** Undefined where the text is none of them. */
export function parseChainId(text: string): ChainId | undefined {
  if (!new RegExp(CHAIN_ID_PATTERN).test(text)) return undefined;
  const plain = PLAIN.find((kind) => kind === text);
  return plain === undefined ? { kind: 'profile', name: text.slice('profile:'.length) } : { kind: plain };
}

export const CHAIN_IDS = `${PLAIN.join(', ')} or profile:NAME`;
