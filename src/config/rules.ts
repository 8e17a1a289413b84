import { isIP } from 'node:net';
import type { Rule } from '../policy/rules.ts';
import { checkAws } from './aws-rules.ts';
import type { AgentConfig, EgressConfig, ServiceConfig } from './config.ts';
import type { Context } from './context.ts';
import { nearest } from './nearest.ts';
import { childOf, nodeAt, type Path } from './node.ts';
import { quote } from './problem.ts';
import { each, fits, type WrittenRule } from './rule-names.ts';
import type { Document } from './schema.ts';
import { checkSsh } from './ssh-rules.ts';
import type { Loose } from './validate.ts';

/** RFC 9110 section 5.6.2: `token`, without the `*` that would look like a wildcard. */
const METHOD = /^[!#$%&'+.^_`|~0-9A-Za-z-]+$/;
const HOST = /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/** Checks the rules beyond their shape. A selector is never dropped: that would widen the rule. */
export function checkRules(
  written: Loose<Document['rules']> | undefined,
  services: readonly ServiceConfig[],
  agents: readonly string[],
  context: Context,
): readonly Rule[] | undefined {
  if (written === undefined) return undefined;
  const { report } = context;
  const ids = new Set<string>();
  written.forEach((rule, at) => {
    if (rule === undefined) return;
    const path = ['rules', at];
    if (rule.id !== undefined && ids.has(rule.id))
      report.error([...path, 'id'], `the id ${quote(rule.id)} is written twice`);
    if (rule.id === 'default-deny')
      report.error([...path, 'id'], 'this id stands for the end of the rules: choose another');
    if (rule.id !== undefined) ids.add(rule.id);
    checkNames(rule, path, { services: services.map(({ name }) => name), agents }, context);
    each(rule.methods, (method, index) => checkMethod(method, [...path, 'methods', index], context));
    each(rule.paths, (pattern, index) => checkPath(pattern, [...path, 'paths', index], context));
    each(rule.hosts, (host, index) => checkHost(host, [...path, 'hosts', index], context));
    checkAws(rule, path, services, context);
    checkSsh(rule, path, services, context);
    checkTime(rule.time, [...path, 'time'], context);
    if (rule.rate !== undefined && rule.effect === 'deny') {
      report.error([...path, 'rate'], 'a rate belongs to a rule that allows', { on: 'key' });
    }
    if (rule.returnsCredentials === false && rule.effect === 'deny') {
      report.error([...path, 'returnsCredentials'], 'of a rule that denies this is true, or left out');
    }
  });
  // Policy compiles only what is whole; gaps and misfits have been reported above.
  if (!report.failed) {
    for (const { path, message } of context.options.checkRules?.(written as unknown as readonly Rule[]) ?? []) {
      report.error(['rules', ...path], message);
    }
  }
  if (!written.some((rule) => rule?.effect === 'allow') && !report.failed) {
    report.warn(['rules'], 'no rule allows anything: every use is denied', { on: 'key' });
  }
  // Gaps are where validation took a misfit out, and then no configuration comes of this.
  return written as unknown as readonly Rule[];
}

/** A selector that nothing fits is a typing error more often than a plan. */
function checkNames(
  rule: WrittenRule,
  path: Path,
  known: Readonly<Record<'services' | 'agents', readonly string[]>>,
  { report }: Context,
): void {
  for (const key of ['services', 'agents'] as const) {
    each(rule[key], (name, at) => {
      if (known[key].some((candidate) => fits(name, candidate))) return;
      const suggestion = nearest(name, known[key]);
      report.warn([...path, key, at], `no ${key === 'agents' ? 'agent' : 'service'} has this name`, { suggestion });
    });
  }
}

/** Everybody who may be asking, by the words of the file. */
export function callers(
  services: readonly ServiceConfig[],
  egress: EgressConfig | undefined,
  agents: Readonly<Record<string, AgentConfig>>,
): readonly string[] {
  const proven = Object.keys(agents);
  const unproven = egress?.agent ?? (proven.length === 0 ? 'local' : undefined);
  const throughEgress = egress === undefined ? [] : [...proven, ...(unproven === undefined ? [] : [unproven])];
  return [...new Set([...services.flatMap(agentsOf), ...throughEgress])];
}

/** Whoever the listener belongs to, and those that a connector tells apart by keys of their own: `config.agents`. */
function agentsOf({ agent, config }: ServiceConfig): string[] {
  const named: unknown =
    typeof config === 'object' && config !== null && 'agents' in config ? config.agents : undefined;
  return [agent, ...(typeof named === 'object' && named !== null ? Object.keys(named) : [])];
}

function checkMethod(method: string, path: Path, { report }: Context): void {
  if (!METHOD.test(method)) {
    report.error(path, 'not an HTTP method: write names like GET, and leave `methods` out to match all');
  } else if (method !== method.toUpperCase()) {
    report.warn(path, 'methods are compared exactly, and the usual ones are upper case');
  }
}

function checkPath(pattern: string, path: Path, { report }: Context): void {
  if (!pattern.startsWith('/') && pattern !== '**') return report.error(path, 'a path pattern begins with /');
  if (/[?#\s\\]/.test(pattern)) return report.error(path, 'a path pattern has no query, fragment, blank or backslash');
  const segments = pattern.split('/').slice(1);
  if (segments.slice(0, -1).includes('')) return report.error(path, 'a path pattern has no empty segment');
  if (segments.some((segment) => /^(\.|%2e){1,2}$/i.test(segment))) {
    return report.error(path, 'a path pattern has no dot segment');
  }
  if (segments.some((segment) => segment.includes('**') && segment !== '**')) {
    report.error(path, '`**` stands for whole segments: write /**/ around it');
  }
}

function checkHost(host: string, path: Path, { report }: Context): void {
  if (isIP(host) !== 0) return;
  if (host.includes('://')) report.error(path, 'a host has no scheme');
  else if (host !== host.toLowerCase()) report.error(path, 'a host is written in lower case');
  else if (!HOST.test(host.replace(/:\d+$/, '')) && !host.startsWith('['))
    report.error(path, 'a host is a name, an IP address without brackets, or `*.` and a name');
}

function checkTime(time: WrittenRule['time'], path: Path, { report, options }: Context): void {
  if (time === undefined) return;
  const written = nodeAt(options.tree, path)?.node;
  if (!['from', 'to', 'days'].some((key) => childOf(written, key) !== undefined)) {
    report.error(path, 'a time needs `from`, `to` or `days`', { on: 'key' });
  }
  if (time.from !== undefined && time.from === time.to)
    report.error(path, 'the window begins and ends at the same time');
  if (time.zone !== undefined && !isZone(time.zone)) {
    report.error([...path, 'zone'], 'unknown time zone: write a name like Europe/Zurich or UTC');
  }
}

function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return zone !== '';
  } catch {
    return false;
  }
}
