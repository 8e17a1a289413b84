import { canonicalFile } from './canonical.ts';
import { buildAgents } from './agents.ts';
import type { Config } from './config.ts';
import type { Context, LoadOptions } from './context.ts';
import { buildEgress } from './egress.ts';
import { expandVariables } from './expand.ts';
import { childOf, stringOf, type MapNode, type Node } from './node.ts';
import { checkPassages } from './passages.ts';
import { printable } from './print.ts';
import type { Problem, Report } from './problem.ts';
import { buildProviders } from './providers.ts';
import { checkReached, checkServed } from './reached.ts';
import { readYaml } from './read.ts';
import { callers, checkRules } from './rules.ts';
import { grammar, type Document } from './schema.ts';
import { buildService } from './service.ts';
import { buildControl, buildLedger, buildLimits, buildTelemetry } from './settings.ts';
import { checkTaken, shareAddresses, type TakenAddress } from './sharing.ts';
import { validate, type Loose } from './validate.ts';

export type { Catalog, CatalogConnector, CatalogProvider } from './catalog.ts';
export type { LoadOptions } from './context.ts';
export { formatProblem, type Problem } from './problem.ts';

export interface LoadResult {
  /** Only where no problem is an error. */
  readonly config?: Config;
  /** In the order of the file. */
  readonly problems: readonly Problem[];
  /** The file in the canonical form, without secrets; present whenever its shape could be read. */
  readonly normalized?: unknown;
}

let canonicalGrammar: ReturnType<typeof grammar> | undefined;

/** Reads the text of a configuration whole: into a `Config`, or into everything that is wrong with it. Never throws on text. */
export function loadConfig(text: string, options: LoadOptions): LoadResult {
  const { root, report } = readYaml(text, options.file);
  if (root === undefined) return { problems: report.problems };
  const expanded = expandVariables(root, options.environment, report);
  report.root = expanded;
  const file = canonicalFile(expanded, options.catalog, report);
  if (file === undefined) return { problems: report.problems };
  const holder: { node: Node } = { node: file };
  canonicalGrammar ??= grammar('canonical');
  const { value } = validate(holder, canonicalGrammar, [], report);
  const config = build(value as Loose<Document>, file, report, options);
  const { problems } = report;
  const normalized = printable(file, options.catalog);
  return report.failed ? { problems, normalized } : { config, problems, normalized };
}

function build(document: Loose<Document>, file: MapNode, report: Report, options: LoadOptions): Config {
  const context: Context = {
    options: { ...options, tree: file },
    report,
    providers: providerTypes(childOf(file, 'providers')),
    providerOptions: new Map(),
    literalNoted: false,
  };
  const providers = buildProviders(context);
  // In the order of the names: where several match, the first takes the request.
  const names = Object.keys(document.services ?? {}).sort();
  const built = names.flatMap((name) => {
    const written = document.services?.[name];
    return written === undefined ? [] : [buildService(name, written, context)];
  });
  const agents = buildAgents(document.agents, context);
  const egress = buildEgress(document.egress, agents, context);
  checkServed(egress, context);
  checkPassages(built, egress !== undefined || file.entries.has('egress'), context);
  checkReached(built, egress, context);
  const telemetry = buildTelemetry(document.telemetry, context);
  const control = buildControl(document.control, context);
  const taken: TakenAddress[] = [{ word: 'control.socket', address: { kind: 'unix', path: control.socket } }];
  const told = options.telemetry === undefined ? 'telemetry.listenOn' : '--telemetry';
  if (telemetry.listenOn !== undefined) taken.push({ word: told, address: telemetry.listenOn });
  for (const address of egress?.listenOn ?? []) {
    checkTaken(address, taken, ['egress', 'listenOn'], context);
    taken.push({ word: 'egress.listenOn', address });
  }
  const services = shareAddresses(built, taken, context);
  return {
    services,
    providers,
    egress,
    agents,
    rules: checkRules(document.rules, services, callers(services, egress, agents), context),
    ledger: buildLedger(document.ledger, context),
    control,
    telemetry,
    limits: buildLimits(document.limits, context),
  };
}

function providerTypes(providers: Node | undefined): Map<string, { type: string | undefined }> {
  if (providers?.kind !== 'map') return new Map();
  return new Map([...providers.entries].map(([name, { node }]) => [name, { type: stringOf(childOf(node, 'type')) }]));
}
