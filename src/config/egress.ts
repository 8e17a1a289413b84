import { isIP, isIPv6 } from 'node:net';
import { holds, parseBlock, type AddressBlock } from './address-block.ts';
import { isHostName, shortIPv6 } from './address.ts';
import type { AgentConfig, EgressConfig, ListenAddress, OriginPattern, UpstreamProxyConfig } from './config.ts';
import type { Context } from './context.ts';
import { buildCredential } from './credentials.ts';
import { buildListenOn, buildSocketMode } from './listening.ts';
import { isAddress, parseOriginPattern, parseProxyUrl } from './origin.ts';
import type { Path } from './node.ts';
import { quote } from './problem.ts';
import type { Document } from './schema.ts';
import type { Loose } from './validate.ts';

type WrittenEgress = Loose<NonNullable<Document['egress']>>;

const AT: Path = ['egress'];

/** Checks where clients reach services by the upstream's own URL. Which services these are is for `checkReached` to say. */
export function buildEgress(
  written: WrittenEgress | undefined,
  agents: Readonly<Record<string, AgentConfig>>,
  context: Context,
): EgressConfig | undefined {
  const { report, options } = context;
  const hasTokens = Object.values(agents).some(({ token }) => token !== undefined);
  if (written === undefined && options.egress === undefined) {
    if (hasTokens) report.warn(['agents'], 'no `egress` is there to ask for their tokens', { on: 'key' });
    return undefined;
  }
  const egress = written ?? {};
  const mode = egress.mode ?? 'proxy';
  const unmatched = egress.unmatched ?? 'deny';
  if (unmatched === 'pass') {
    report.warn([...AT, 'unmatched'], 'every origin without a service passes too, but for what a rule denies');
  }
  checkCallers(egress, mode, hasTokens, context);
  const addresses = {
    deny: buildBlocks(egress.deny?.addresses, [...AT, 'deny', 'addresses'], context),
    reach: buildReach(egress, context),
  };
  const upstreamProxy = buildProxy(egress.upstreamProxy, context);
  return {
    listenOn: buildListeners(egress, mode === 'proxy' && hasTokens && egress.agent === undefined, context),
    mode,
    unmatched,
    allow: buildAllow(egress.allow, context),
    addresses: { deny: addresses.deny.map(({ text }) => text), reach: addresses.reach },
    resolve: buildResolve(egress.resolve, context),
    ...(upstreamProxy === undefined ? {} : { upstreamProxy }),
    ...(egress.agent === undefined ? {} : { agent: egress.agent }),
    ca: { store: egress.ca?.store ?? 'memory', names: buildNames(egress.ca?.names, context) },
    socketMode: buildSocketMode(egress.socketMode, [...AT, 'socketMode'], context),
  };
}

/** `proven`: nobody gets anything without a token. */
function buildListeners(egress: WrittenEgress, proven: boolean, context: Context): ListenAddress[] {
  const { report, options } = context;
  const path = [...AT, 'listenOn'];
  const listenOn = egress.listenOn ?? options.egress?.listenOn;
  if (listenOn === undefined) {
    if (!report.refused(path)) report.error(AT, 'the key "listenOn" is missing', { on: 'key' });
    return [];
  }
  if (listenOn.length === 0) report.error(path, 'must not be empty');
  const found = buildListenOn(listenOn, path, context, (warning) => {
    if (!warning.startsWith('listens beyond loopback')) return warning;
    if (proven) return undefined;
    return 'listens beyond loopback: whoever reaches this address uses the credentials, unless `agents` have a `token` each';
  });
  if (egress.mode === 'transparent' && found.some(({ kind }) => kind === 'unix')) {
    report.error(path, 'connections are redirected to ports, so a socket of the file system gets none');
  }
  return found;
}

/** Nobody can show a token to a listener that clients know nothing of. */
function checkCallers(
  egress: WrittenEgress,
  mode: EgressConfig['mode'],
  hasTokens: boolean,
  { report }: Context,
): void {
  if (mode !== 'transparent' || !hasTokens || egress.agent !== undefined) return;
  const message = 'in transparent mode nobody can show the token of an agent: write in `egress.agent` who is asking';
  report.error([...AT, 'mode'], message);
}

function buildAllow(written: WrittenEgress['allow'], { report }: Context): OriginPattern[] {
  const found = new Map<string, OriginPattern>();
  written?.forEach((text, at) => {
    if (text === undefined) return;
    const path = [...AT, 'allow', at];
    const parsed = parseOriginPattern(text);
    if ('problem' in parsed) return report.error(path, parsed.problem, parsed);
    const { pattern } = parsed;
    if (pattern.scheme === 'http') report.warn(path, 'what goes to an http:// origin travels in clear');
    if (pattern.below && !pattern.host.includes('.')) report.warn(path, 'names of any owner are below this one');
    const key = JSON.stringify(pattern);
    if (found.has(key)) return report.error(path, 'the origin is written twice');
    found.set(key, pattern);
  });
  return [...found.values()];
}

function buildBlocks(
  written: readonly (string | undefined)[] | undefined,
  path: Path,
  { report }: Context,
): (AddressBlock & { readonly at: Path })[] {
  return (written ?? []).flatMap((text, index) => {
    if (text === undefined) return [];
    const at = [...path, index];
    const parsed = parseBlock(text);
    if ('block' in parsed) return [{ ...parsed.block, at }];
    report.error(at, parsed.problem, parsed);
    return [];
  });
}

/** Parts of the built-in set that are there for a reason which few operators mean to undo. */
const DELICATE: readonly (readonly [block: string, what: string])[] = [
  ['127.0.0.0/8', 'this machine'],
  ['::1', 'this machine'],
  ...['169.254.169.254', '169.254.170.2', '169.254.170.23', '168.63.129.16', '100.100.100.200', 'fd00:ec2::254'].map(
    (address) => [address, 'the metadata service of a cloud, which hands credentials out'] as const,
  ),
];
/** No block of the built-in set that is not multicast is wider. */
const PREFIX_MIN = { 4: 8, 6: 7 } as const;

function buildReach({ deny, reach }: WrittenEgress, context: Context): string[] {
  const { report } = context;
  const denied = new Set((deny?.addresses ?? []).map((text) => blockOf(text ?? '')?.text));
  return buildBlocks(reach?.addresses, [...AT, 'reach', 'addresses'], context).map(({ at, text, family, prefix }) => {
    if (denied.has(text)) report.error(at, 'the same block is in `deny`');
    if (prefix < PREFIX_MIN[family])
      report.warn(at, 'opens nothing: the narrower blocks of the built-in set come first');
    const [address] = text.split('/') as [string];
    const opened = DELICATE.find(([block]) => {
      const outer = blockOf(block)!;
      return outer.prefix <= prefix && holds(outer, address);
    });
    if (opened !== undefined) report.warn(at, `a name may then lead to ${opened[1]}`);
    return text;
  });
}

function blockOf(text: string): AddressBlock | undefined {
  const parsed = parseBlock(text);
  return 'block' in parsed ? parsed.block : undefined;
}

function buildResolve(written: WrittenEgress['resolve'], { report }: Context): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, address] of Object.entries(written ?? {})) {
    const path = [...AT, 'resolve', name];
    if (isAddress(name) || !isHostName(name.toLowerCase())) {
      report.error(path, 'a host name is to be written here, and its address behind it', { on: 'key' });
    } else if (name !== name.toLowerCase()) {
      report.error(path, 'a name is written in lower case', { on: 'key', suggestion: name.toLowerCase() });
    }
    if (address === undefined) continue;
    if (isIP(address) === 0 || address.includes('%')) {
      report.error(path, 'the address of a name is an IP address, without a port');
    } else found[name] = isIPv6(address) ? shortIPv6(address) : address;
  }
  return found;
}

function buildProxy(written: WrittenEgress['upstreamProxy'], context: Context): UpstreamProxyConfig | undefined {
  if (written === undefined) return undefined;
  const { report } = context;
  const path = [...AT, 'upstreamProxy'];
  const credential = (name: 'username' | 'password') => buildCredential(name, written[name], [...path, name], context);
  const [username, password] = [credential('username'), credential('password')];
  if ((written.password === undefined) !== (written.username === undefined)) {
    report.error(path, '`username` and `password` belong together: write both', { on: 'key' });
  }
  const resolves = written.resolves ?? false;
  if (resolves) {
    report.warn([...path, 'resolves'], 'the addresses that names lead to are then not checked here');
  }
  if (written.url === undefined) return undefined;
  const parsed = parseProxyUrl(written.url);
  if ('problem' in parsed) {
    report.error([...path, 'url'], parsed.problem, parsed);
    return undefined;
  }
  return {
    origin: parsed.origin,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    resolves,
  };
}

function buildNames(written: Loose<string[]> | undefined, { report }: Context): string[] {
  return (written ?? []).flatMap((name, at) => {
    if (name === undefined) return [];
    const path = [...AT, 'ca', 'names', at];
    const bare = name.toLowerCase().replace(/^(\*\.|\.)/, '');
    if (isHostName(bare) && name === bare) return [name];
    const suggestion = isHostName(bare) ? bare : undefined;
    report.error(path, `a domain is meant with all names below it, not ${quote(name)}`, { suggestion });
    return [];
  });
}
