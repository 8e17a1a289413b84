import type { Context } from './context.ts';
import { nearest } from './nearest.ts';
import { nodeAt } from './node.ts';
import { quote } from './problem.ts';
import type { BuiltService } from './service.ts';

/** Services between a listener and its upstream; each is a login of its own. */
const PASSAGES_MAX = 4;

/**
 * Checks which service leads through which, and that only those in between have no address, or those that are reached
 * through `egress` where there is one.
 */
export function checkPassages(services: readonly BuiltService[], egress: boolean, context: Context): void {
  const byName = new Map(services.map((built) => [built.service.name, built]));
  const found = nodeAt(context.options.tree, ['services'])?.node;
  const written = found?.kind === 'map' ? [...found.entries.keys()] : [];
  const ways = new Set<string>();
  for (const built of services) {
    if (built.via === undefined) continue;
    // What leads through a service that could not be read is judged when that one can.
    const isRead = byName.has(built.via) || !written.includes(built.via);
    const problem = isRead ? (stepProblem(built, built.via, byName) ?? wayProblem(built, byName)) : undefined;
    if (problem === undefined) ways.add(built.via);
    else context.report.error(['services', built.service.name, 'config', 'via'], problem.message, problem);
  }
  for (const name of written) {
    const listens = (byName.get(name)?.service.listenOn.length ?? 0) > 0;
    if (!listens && !ways.has(name)) checkWritten(name, byName.get(name), egress, context);
  }
}

interface PassageProblem {
  readonly message: string;
  readonly suggestion?: string | undefined;
}

/** What is wrong with the next service on the way. */
function stepProblem(
  { service }: BuiltService,
  via: string,
  byName: ReadonlyMap<string, BuiltService>,
): PassageProblem | undefined {
  const next = byName.get(via);
  if (next === undefined) {
    const others = [...byName.keys()].filter((name) => name !== service.name);
    return { message: `there is no service ${quote(via)}`, suggestion: nearest(via, others) };
  }
  if (next.service.connector === service.connector) return undefined;
  return { message: `service ${quote(via)} is none of connector ${service.connector}: it is no way to this one` };
}

/** What is wrong with the way as a whole; a step behind the next that is wrong is reported where it is written. */
function wayProblem(built: BuiltService, byName: ReadonlyMap<string, BuiltService>): PassageProblem | undefined {
  const passed = [built.service.name];
  for (let next = built.via; next !== undefined; next = byName.get(next)?.via) {
    if (passed.includes(next)) {
      // Said by those in the circle, not by whoever leads into it.
      if (next !== built.service.name) return undefined;
      return { message: `the way leads in a circle: ${[...passed, next].map(quote).join(' → ')}` };
    }
    passed.push(next);
    if (passed.length - 1 > PASSAGES_MAX)
      return { message: `the way leads through more than ${PASSAGES_MAX} services` };
  }
  return undefined;
}

/** No address: said unless another problem with what is written has been. */
function checkWritten(name: string, built: BuiltService | undefined, egress: boolean, context: Context): void {
  const { report, options } = context;
  const path = ['services', name];
  const service = nodeAt(options.tree, path)?.node;
  if (service?.kind !== 'map') return;
  const written = nodeAt(options.tree, [...path, 'listenOn']);
  if (written === undefined) {
    // A target that is wrong has its own problem.
    const hasTarget = built?.kind === 'http' && service.entries.has('target');
    if (egress && (hasTarget || built?.reaches !== undefined)) return;
    report.error(path, missing(built, egress, hasTarget), { on: 'key' });
  } else if (written.node.kind === 'list' && written.node.items.length === 0) {
    report.error([...path, 'listenOn'], 'must not be empty');
  }
}

function missing(built: BuiltService | undefined, egress: boolean, hasTarget: boolean): string {
  const what = 'the key "listenOn" is missing';
  if (hasTarget) return `${what}; without it clients need a top-level \`egress\`, where they ask for the target itself`;
  if (!egress || built?.kind === undefined) return what;
  if (built.kind !== 'http') return `${what}: only HTTP services are reached through \`egress\``;
  return `${what}: through \`egress\` services with a \`target\` are reached`;
}
