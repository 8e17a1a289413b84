import type { ServiceConfig } from '../../config/config.ts';

/**
 * Programs that refuse to start without a credential, by the origin they talk to. What they send is replaced on the way,
 * so any text of the right form will do.
 */
const DEMANDED: Readonly<Record<string, readonly string[]>> = {
  'api.github.com': ['GH_TOKEN'],
  'api.openai.com': ['OPENAI_API_KEY'],
  'api.anthropic.com': ['ANTHROPIC_API_KEY'],
  'generativelanguage.googleapis.com': ['GEMINI_API_KEY'],
  'api.mistral.ai': ['MISTRAL_API_KEY'],
  'api.groq.com': ['GROQ_API_KEY'],
  'api.x.ai': ['XAI_API_KEY'],
  'api.deepseek.com': ['DEEPSEEK_API_KEY'],
  'openrouter.ai': ['OPENROUTER_API_KEY'],
};

/** Says to whoever meets it in a log what it is. */
const PLACEHOLDER = 'held-by-secretless-sidecar';

/** For services that the upstream's own URL leads to. */
export function placeholderVariables(services: readonly ServiceConfig[]): Record<string, string> {
  const names = services.flatMap(({ target }) => (target === undefined ? [] : (DEMANDED[target.origin.host] ?? [])));
  return Object.fromEntries(names.map((name) => [name, PLACEHOLDER]));
}
