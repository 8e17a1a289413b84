import { findProvider, providerWords } from './catalog.ts';
import type { ProviderConfig } from './config.ts';
import type { Context } from './context.ts';
import { nearest } from './nearest.ts';
import { mapNode, nodeAt, type Node } from './node.ts';
import { quote } from './problem.ts';
import { validate } from './validate.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Checks the named stores of top-level `providers`. */
export function buildProviders(context: Context): Record<string, ProviderConfig> {
  const built: Record<string, ProviderConfig> = {};
  const { report, options } = context;
  for (const [name, { type }] of context.providers) {
    const path = ['providers', name];
    if (!NAME.test(name)) {
      report.error(path, 'the name of a provider is made of letters, digits, dots, dashes and underscores', {
        on: 'key',
      });
    }
    if (type === undefined) continue;
    const found = findProvider(options.catalog, type);
    if (found.in === 'elsewhere') {
      report.error([...path, 'type'], `provider ${quote(type)} is not in this build`, { kind: 'not-in-build' });
    } else if (found.in === 'nowhere') {
      const suggestion = nearest(type, providerWords(options.catalog));
      report.error([...path, 'type'], `unknown provider ${quote(type)}`, { suggestion });
    }
    if (name !== type && findProvider(options.catalog, name).in !== 'nowhere') {
      report.error(path, `the name ${quote(name)} belongs to the provider of that type: choose another`, { on: 'key' });
    }
    if (found.in !== 'build') continue;
    const node = nodeAt(options.tree, path)!.node;
    const own = mapNode(node.at, node.kind === 'map' ? node.entries : []);
    own.entries.delete('type');
    const holder: { node: Node } = { node: own };
    const { value } = validate(holder, found.provider.config, path, report);
    built[name] = { type, options: value };
    context.providerOptions.set(name, value);
  }
  return built;
}
