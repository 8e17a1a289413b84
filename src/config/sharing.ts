import { collides } from './address.ts';
import { formatListenAddress, type ListenAddress, type ServiceConfig } from './config.ts';
import type { Context } from './context.ts';
import { surelyApart } from './match.ts';
import type { Path } from './node.ts';
import { quote } from './problem.ts';
import type { BuiltService } from './service.ts';

interface Bound {
  readonly built: BuiltService;
  readonly address: ListenAddress;
  readonly path: Path;
}

/** An address of something other than a service, by the key it is written at. */
export interface TakenAddress {
  readonly word: string;
  readonly address: ListenAddress;
}

/** Reports each of `others` that has the address. */
export function checkTaken(
  address: ListenAddress,
  others: readonly TakenAddress[],
  path: Path,
  { report }: Context,
): void {
  for (const { word, address: other } of others) {
    const same = formatListenAddress(address) === formatListenAddress(other) && !isEphemeral(address);
    if (same || collides(other, address)) report.error(path, `the address is taken by \`${word}\``);
  }
}

/** Checks which services may share an address, and gives those that do the one setting an address has. */
export function shareAddresses(
  services: readonly BuiltService[],
  others: readonly TakenAddress[],
  context: Context,
): ServiceConfig[] {
  const groups = new Map<string, Bound[]>();
  for (const built of services) {
    built.service.listenOn.forEach((address, at) => {
      const key = formatListenAddress(address);
      const bound = { built, address, path: ['services', built.service.name, 'listenOn', at] };
      groups.set(key, [...(groups.get(key) ?? []), bound]);
    });
  }
  checkClashes([...groups.values()], others, context);
  const settled = new Map(services.map(({ service }) => [service.name, service]));
  for (const group of groups.values()) {
    if (group.length > 1) settleGroup(group, settled, context);
  }
  return [...settled.values()];
}

function checkClashes(groups: readonly (readonly Bound[])[], others: readonly TakenAddress[], context: Context): void {
  const { report } = context;
  const firsts = groups.map((group) => group[0]!);
  firsts.forEach((bound, at) => {
    for (const earlier of firsts.slice(0, at)) {
      if (!collides(bound.address, earlier.address)) continue;
      report.error(
        bound.path,
        `the port is taken by service ${quote(earlier.built.service.name)} on an address that covers this one`,
      );
    }
    checkTaken(bound.address, others, bound.path, context);
  });
}

function isEphemeral(address: ListenAddress): boolean {
  return address.kind === 'tcp' && address.port === 0;
}

/** One address: services that tell what is whose, one of them with a target at most, all of one agent. */
function settleGroup(group: readonly Bound[], settled: Map<string, ServiceConfig>, context: Context): void {
  const { report } = context;
  const [first, ...rest] = group as [Bound, ...Bound[]];
  const target = group.find(({ built }) => built.service.target !== undefined);
  for (const bound of rest) {
    const name = quote(first.built.service.name);
    if (bound.built.kind === undefined || first.built.kind === undefined) continue;
    if (!isShared(bound, first)) {
      report.error(bound.path, `the address is taken by service ${name}: only ${sharersBeside(first)} share one`);
      continue;
    }
    if (bound.built.service.target !== undefined && target !== undefined && bound !== target) {
      report.error(
        bound.path,
        `service ${quote(target.built.service.name)} is the target of this address already: use another port`,
      );
    }
    if (bound.built.service.agent !== first.built.service.agent) {
      report.error(
        bound.path,
        `service ${name} gives this address to another agent: one listener belongs to one agent`,
      );
    }
  }
  const sharing = group.filter((bound) => bound === first || isShared(bound, first));
  if (first.built.sharesListeners && sharing.length > 1) checkNames(sharing, context);
  checkRouting(sharing, context);
  checkOverlaps(sharing, context);
  for (const key of ['unmatched', 'socketMode'] as const) settle(sharing, key, settled, context);
}

function isShared({ built }: Bound, { built: first }: Bound): boolean {
  if (built.kind === 'http') return first.kind === 'http';
  return built.sharesListeners && built.service.connector === first.service.connector;
}

function sharersBeside({ built }: Bound): string {
  return built.sharesListeners ? `services of ${built.service.connector}` : 'HTTP services';
}

/** Whoever connects says which service is meant, behind the user's name: `deploy--build`. */
function checkNames(group: readonly Bound[], { report }: Context): void {
  for (const { built } of group) {
    const { name } = built.service;
    if (/^[A-Za-z0-9_.][A-Za-z0-9_.-]*$/.test(name) && !name.includes('--')) continue;
    const message =
      'a service that shares its address has a name of letters, digits, `_`, `.` and single `-` that does not begin with `-`';
    report.error(['services', name], message, { on: 'key' });
  }
}

/** One service at most may take what no other does; `unmatched` then has nothing left to say. */
function checkRouting(group: readonly Bound[], { report }: Context): void {
  const [first, ...rest] = group.filter(({ built }) => built.routes);
  if (first === undefined) return;
  const name = quote(first.built.service.name);
  for (const { path } of rest) {
    report.error(path, `service ${name} finds out itself where requests to this address go: give one another port`);
  }
  for (const { built } of group) {
    if (built.routes || !built.written.unmatched) continue;
    const message = `has no effect beside service ${name}, which takes whatever nothing else matches`;
    report.error(['services', built.service.name, 'unmatched'], message, { on: 'key' });
  }
}

/** A setting of the address: whoever writes it writes it for all; two that differ contradict each other. */
function settle<Key extends 'unmatched' | 'socketMode'>(
  group: readonly Bound[],
  key: Key,
  settled: Map<string, ServiceConfig>,
  { report }: Context,
): void {
  const [first, ...rest] = group.filter(({ built }) => built.written[key]);
  if (first === undefined) return;
  const value = first.built.service[key];
  for (const { built } of rest) {
    if (built.service[key] === value) continue;
    const message = `service ${quote(first.built.service.name)} says otherwise for the same address`;
    report.error(['services', built.service.name, key], message);
  }
  for (const { built } of group) {
    const service = settled.get(built.service.name)!;
    const applies = key !== 'unmatched' || service.target === undefined;
    if (applies) settled.set(service.name, { ...service, [key]: value });
  }
}

/** The first by name takes what several match; the same pattern twice leaves the second with nothing. */
function checkOverlaps(group: readonly Bound[], { report }: Context): void {
  group.forEach(({ built }, at) => {
    for (const earlier of group.slice(0, at)) {
      const path = ['services', built.service.name, 'config', 'authenticateURLsMatching'];
      const { match } = built.service;
      const before = quote(earlier.built.service.name);
      if (match.some((pattern) => earlier.built.service.match.includes(pattern))) {
        report.error(path, `service ${before} has the same pattern on the same address`);
      } else if (match.some((pattern) => earlier.built.service.match.some((other) => !surelyApart(pattern, other)))) {
        report.warn(path, `may match what service ${before} matches too: that one comes first by name`);
      }
    }
  });
}
