import { isHostName } from './address.ts';
import type { Origin } from '../connector/origin.ts';
import type { EgressConfig, ServiceConfig } from './config.ts';
import type { Context } from './context.ts';
import { nodeAt, stringOf } from './node.ts';
import { isAddress, parseOriginPattern } from './origin.ts';
import { quote } from './problem.ts';
import type { BuiltService } from './service.ts';

type Reached = ServiceConfig & Required<Pick<ServiceConfig, 'target'>>;

/** A file without services is one whose `egress` lets something pass. */
export function checkServed(egress: EgressConfig | undefined, { report, options }: Context): void {
  if (egress !== undefined && (egress.allow.length > 0 || egress.unmatched === 'pass')) return;
  const written = nodeAt(options.tree, ['services'])?.node;
  if (written === undefined) report.error([], 'the key "services" is missing', { on: 'key' });
  else if (written.kind === 'map' && written.entries.size === 0) report.error(['services'], 'must not be empty');
}

/** True for what has no address of its own, because clients ask for its target, or for a host that its connector knows. */
function isReached({ service, kind, reaches }: BuiltService, { options }: Context): boolean {
  const isWritten = nodeAt(options.tree, ['services', service.name, 'listenOn']) !== undefined;
  return kind === 'http' && (service.target !== undefined || reaches !== undefined) && !isWritten;
}

/** Checks the services that are reached through `egress`, against each other and against what it says. */
export function checkReached(built: readonly BuiltService[], egress: EgressConfig | undefined, context: Context): void {
  if (egress === undefined) return;
  const { report, options } = context;
  const reached = built.filter((one) => isReached(one, context));
  const claiming = reached.filter(({ reaches }) => reaches !== undefined);
  const services = reached
    .filter(({ service }) => service.target !== undefined)
    .map(({ service }) => service as Reached);
  for (const { service, written } of reached) {
    if (!written.agent) continue;
    const message = 'belongs to a listener, and this service has none: `agents` say who asks through `egress`';
    report.error(['services', service.name, 'agent'], message, { on: 'key' });
  }
  services.forEach((service, at) => {
    checkTarget(service, services.slice(0, at), context);
    checkIssued(service, egress, context);
    checkMode(service, egress, context);
  });
  checkClaims(claiming, context);
  checkAllowed(services, claiming, context);
  const isWritten = nodeAt(options.tree, ['egress']) !== undefined;
  if (isWritten && reached.length === 0 && egress.allow.length === 0 && egress.unmatched === 'deny') {
    const message = 'leads nowhere: no service has a `target` and no `listenOn`, and `allow` names no origin';
    if (!report.failed) report.warn(['egress'], message, { on: 'key' });
  }
}

/** One request, one service: of those with the same origin the longest path in front decides. */
function checkTarget({ name, target }: Reached, earlier: readonly Reached[], { report }: Context): void {
  const path = ['services', name, 'target'];
  const { origin, basePath } = target;
  if (!isAddress(origin.host) && !isHostName(origin.host)) {
    report.error(path, 'no client asks for this host: a plain name or an IP address is, without a dot at its end');
  }
  const same = earlier.find(({ target: other }) => isSameOrigin(other.origin, origin) && other.basePath === basePath);
  if (same === undefined) return;
  const message = `service ${quote(same.name)} has the same target: give one a path of its own, or a \`listenOn\``;
  report.error(path, message);
}

function checkIssued({ name, target }: Reached, { ca }: EgressConfig, { report }: Context): void {
  const { scheme, host } = target.origin;
  if (scheme !== 'https' || ca.names.length === 0) return;
  if (!isAddress(host) && ca.names.some((domain) => host === domain || host.endsWith(`.${domain}`))) return;
  report.error(['services', name, 'target'], 'no certificate may be issued for this host: `egress.ca.names` lacks it');
}

function checkMode({ name, target }: Reached, { mode }: EgressConfig, { report }: Context): void {
  const { scheme, port } = target.origin;
  if (mode !== 'transparent' || port === (scheme === 'https' ? 443 : 80)) return;
  report.error(['services', name, 'target'], 'in transparent mode connections come from the ports 443 and 80 alone');
}

/** One host, one service: what several connectors claim cannot be told apart. */
function checkClaims([first, ...rest]: readonly BuiltService[], { report }: Context): void {
  for (const { service } of rest) {
    const message = `finds out itself where requests go, as service ${quote(first!.service.name)} does: through \`egress\` one may, so give one a \`target\` or a \`listenOn\``;
    report.error(['services', service.name], message, { on: 'key' });
  }
}

/** A service comes first, so that the word in `allow` would be none. */
function checkAllowed(
  services: readonly Reached[],
  claiming: readonly BuiltService[],
  { report, options }: Context,
): void {
  const written = nodeAt(options.tree, ['egress', 'allow'])?.node;
  const items = written?.kind === 'list' ? written.items : [];
  items.forEach((item, at) => {
    const parsed = parseOriginPattern(stringOf(item) ?? '');
    if ('problem' in parsed || parsed.pattern.below) return;
    const { pattern } = parsed;
    const isClaimed = pattern.scheme === 'https' && pattern.port === 443;
    const claims = claiming.find(({ reaches }) => isClaimed && reaches!(pattern.host));
    const service = services.find(({ target }) => isSameOrigin(target.origin, pattern));
    if (service === undefined && claims !== undefined) {
      const message = `is a host of service ${quote(claims.service.name)}, which gets its requests: leave it out`;
      report.error(['egress', 'allow', at], message);
    }
    if (service === undefined) return;
    const message = `is the target of service ${quote(service.name)}, which gets its requests: leave it out of one`;
    report.error(['egress', 'allow', at], message);
  });
}

function isSameOrigin(a: Origin, b: Origin): boolean {
  return a.scheme === b.scheme && a.host === b.host && a.port === b.port;
}
