import { type Document, isMap, isScalar, type YAMLMap } from 'yaml';
import { isLoopback } from '../config/address.ts';
import { type Config, formatListenAddress, type ServiceConfig } from '../config/config.ts';
import { finding, type Finding } from './finding.ts';
import { keyOf, textOf, valueOf } from './tree.ts';
import { servicesOf } from './version2.ts';

/** Names of credentials that are public in all the protocols that use them. */
const PUBLIC =
  /^(address|application_name|comment|confirm|database|dbname|host|hostkey|knownhosts|lifetime|org|organization|port|region|ssl(mode|host|rootcert|cert)|tenant|user|username|account)$/i;

/** Each secret that stands in the file itself. */
export function adviseLiterals(document: Document): Finding[] {
  return servicesOf(document).flatMap(([name, service]) => {
    const credentials = valueOf(service, 'credentials');
    if (!isMap(credentials) || bringsAll(credentials)) return [];
    return credentials.items.flatMap((pair) => {
      const text = literalOf(pair.value);
      if (text === undefined || text === '' || text.includes('${') || PUBLIC.test(keyOf(pair))) return [];
      const path = ['services', name, 'credentials', keyOf(pair)];
      return [finding('warning', path, 'a secret stands in this file: fetch it, as by `{ from: file, get: /path }`')];
    });
  });
}

/** `{ from, get }` of a provider that brings several credentials (`isNameless`). */
function bringsAll(credentials: YAMLMap): boolean {
  const keys = credentials.items.map(keyOf);
  return keys.length === 2 && keys.includes('get') && isScalar(valueOf(credentials, 'from'));
}

function literalOf(value: unknown): string | undefined {
  if (isScalar(value)) return textOf(value);
  return textOf(valueOf(value, 'from')) === 'literal' ? textOf(valueOf(value, 'get')) : undefined;
}

/** `${NAME}` stood for itself there. */
export function adviseVariables(document: Document): Finding[] {
  return servicesOf(document).flatMap(([name, service]) => {
    const path = ['services', name];
    const isThere = scalarsOf(service).some((text) => /(?<!\$)\$\{/.test(text));
    const text = '`${NAME}` is filled in from the environment here; where the characters are meant, write `$${`';
    return isThere ? [finding('warning', path, text)] : [];
  });
}

function scalarsOf(node: unknown): string[] {
  if (isScalar(node)) return [textOf(node) ?? ''];
  if (isMap(node)) return node.items.flatMap((pair) => scalarsOf(pair.value));
  const items = (node as { items?: readonly unknown[] } | null)?.items ?? [];
  return items.flatMap(scalarsOf);
}

/** Where the broker did otherwise with the very same words. */
export function adviseBroker({ services }: Config): Finding[] {
  const told = new Set<string>();
  return services.flatMap((service) => {
    switch (service.connector) {
      case 'postgres':
        return advisePostgres(service);
      case 'aws':
        return [...adviseAws(service), ...adviseForward(service, told)];
      case 'ssh-agent':
        return [
          finding(
            'note',
            ['services', service.name],
            'clients may list keys and sign; adding, removing and locking is refused',
          ),
        ];
      default:
        return adviseForward(service, told);
    }
  });
}

function advisePostgres({ name, credentials }: ServiceConfig): Finding[] {
  if ('sslmode' in credentials || 'url' in credentials) return [];
  const { host, address } = credentials;
  const place =
    host?.from === 'literal' ? host.get : address?.from === 'literal' ? address.get.replace(/:\d+$/, '') : '';
  if (isLoopback(place) || place.startsWith('/')) return [];
  const text =
    'without `sslmode` the broker took any certificate; here it is `verify-full`: an authority of your own goes in ' +
    '`sslrootcert: { from: file, get: /path }`';
  return [finding('warning', ['services', name, 'credentials'], text)];
}

function adviseAws({ name, config, match }: ServiceConfig): Finding[] {
  const { foreign } = config as { readonly foreign?: string };
  if (foreign !== undefined || match.length === 0) return [];
  const text =
    `the broker took any made-up key, and passed on what was not signed; here clients use the key of ` +
    `\`secretless env ${name}\`, unless \`foreign: sign\` and \`unsigned: pass\` stand in \`config\``;
  return [finding('warning', ['services', name, 'connector'], text)];
}

function adviseForward({ name, match, unmatched, listenOn }: ServiceConfig, told: Set<string>): Finding[] {
  if (match.length === 0) return [];
  const findings: Finding[] = [];
  const [place] = listenOn.map(formatListenAddress);
  if (unmatched === 'deny' && place !== undefined && !told.has(place)) {
    told.add(place);
    const text = 'the broker forwarded what no pattern matches; here it is 403, unless `unmatched: pass` stands here';
    findings.push(finding('note', ['services', name, 'listenOn'], text));
  }
  const origin = match.length === 1 ? onlyOrigin(match[0]!) : undefined;
  if (origin !== undefined) {
    const text =
      `all of this is one origin: \`target: https://${origin}\` beside \`listenOn\` in place of the pattern and of ` +
      '`forceSSL` lets agents call this listener as their base URL, and https clients reach it by `egress`';
    findings.push(finding('note', ['services', name, 'config', 'authenticateURLsMatching'], text));
  }
  return findings;
}

/** `host` or `host:port` of a pattern that spells one origin out and nothing more. */
export function onlyOrigin(pattern: string): string | undefined {
  const [, host, port] =
    /^\^http(?:s|s\?|\[s\]\*|\[s\]\?)?:\/\/((?:[A-Za-z0-9-]|\\[.-])+)(:\d{1,5})?(?:\/(?:\.\*)?)?\$?$/.exec(pattern) ??
    [];
  if (host === undefined) return undefined;
  return `${host.replaceAll('\\', '')}${port ?? ''}`;
}

export const RULES_MISSING = 'migrate: without `rules` whoever reaches a listener may do everything with its services.';

/** What to begin with where the file has no rules: every service may do all that it did. */
export function rulesToBeginWith(config: Config): string[] {
  if (config.rules !== undefined || config.services.length === 0) return [];
  const lines = config.services.map(({ name, connector }, at) => {
    const quoted = JSON.stringify(name);
    const more = connector === 'postgres' ? ', replication: false' : '';
    return ` - { id: ${JSON.stringify(`rule-${at + 1}`)}, effect: allow, services: [${quoted}]${more} }`;
  });
  return [
    ` ${RULES_MISSING} To begin with, allow`,
    ' what is used, and narrow it by `methods`, `paths`, `databases`, `aws` or `ssh`:',
    ' rules:',
    ...lines.map((line) => `  ${line}`),
  ];
}
