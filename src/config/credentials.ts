import { findProvider, providerWords, type CatalogConnector } from './catalog.ts';
import type { CredentialReference } from './config.ts';
import type { Context } from './context.ts';
import { nearest } from './nearest.ts';
import { nodeAt, type Path, type ScalarNode } from './node.ts';
import { MASK } from './print.ts';
import { quote } from './problem.ts';
import type { Service } from './schema.ts';
import type { Loose } from './validate.ts';

type WrittenCredentials = Loose<Service['credentials']>;

/** Checks the credentials of one service: names against the connector, sources against the providers. */
export function buildCredentials(
  written: WrittenCredentials | undefined,
  connector: CatalogConnector | undefined,
  path: Path,
  context: Context,
): Record<string, CredentialReference> {
  const credentials: Record<string, CredentialReference> = {};
  if (written === undefined) return credentials;
  checkNames(Object.keys(written), connector, path, context);
  for (const [name, credential] of Object.entries(written)) {
    const multiline =
      connector === undefined || connector.credentials.some((spec) => spec.name === name && spec.multiline);
    const reference = buildReference(credential, [...path, name], multiline, context);
    if (reference !== undefined) credentials[name] = reference;
  }
  return credentials;
}

/** Checks one `{from, get}`. A literal that is refused is named by its place alone. */
export function buildReference(
  written: { readonly from?: string | undefined; readonly get?: string | undefined } | undefined,
  path: Path,
  multiline: boolean,
  context: Context,
): CredentialReference | undefined {
  if (written?.from === undefined) return undefined;
  const { report, options } = context;
  const { from } = written;
  const named = context.providers.get(from);
  const type = named === undefined ? from : named.type;
  const found = type === undefined ? undefined : findProvider(options.catalog, type);
  if (named === undefined && found?.in === 'elsewhere') {
    report.error([...path, 'from'], `provider ${quote(from)} is not in this build`, { kind: 'not-in-build' });
  } else if (named === undefined && found?.in === 'nowhere') {
    const known = [...providerWords(options.catalog), ...context.providers.keys()];
    // Whoever swaps `from` and `get` may have written the credential here, so the word is not repeated.
    const suggestion = nearest(from, known);
    report.error(
      [...path, 'from'],
      `no such provider${suggestion === undefined ? `: there is ${known.join(', ')}` : ''}`,
      {
        suggestion,
      },
    );
  }
  if (written.get === undefined) return undefined;
  if (type === 'literal') return { from, get: literalText(written.get, path, multiline, context) };
  const problem =
    found?.in === 'build' ? found.provider.checkId?.(written.get, context.providerOptions.get(from)) : undefined;
  if (problem !== undefined) report.error([...path, 'get'], problem);
  return { from, get: written.get };
}

/** The credentials that stand in the file itself, by name; those that a print has masked are not known. */
export function literalsOf(
  credentials: Readonly<Record<string, CredentialReference>>,
  { providers }: Context,
): Readonly<Record<string, string>> {
  const isLiteral = (from: string): boolean => (providers.get(from) ?? { type: from }).type === 'literal';
  const literal = Object.entries(credentials).filter(([, { from, get }]) => isLiteral(from) && get !== MASK);
  return Object.fromEntries(literal.map(([name, { get }]) => [name, get]));
}

function checkNames(
  names: readonly string[],
  connector: CatalogConnector | undefined,
  path: Path,
  { report, options }: Context,
): void {
  const whole = nodeAt(options.tree, path)?.node;
  const swallowed = names.length === 2 && names.includes('from') && names.includes('get');
  if (whole !== undefined && swallowed) {
    return report.error(path, 'credentials are named: write the name of the credential above `from` and `get`');
  }
  if (connector === undefined) return;
  const known = connector.credentials.map((spec) => spec.name);
  for (const spec of connector.credentials) {
    if (spec.required && !names.includes(spec.name)) {
      report.error(path, `the credential ${quote(spec.name)} is missing: ${spec.meaning}`, { on: 'key' });
    }
  }
  if (connector.otherCredentials !== undefined) return;
  for (const name of names) {
    if (known.includes(name)) continue;
    const message = `unknown credential ${quote(name)}: ${connector.name} takes ${known.join(', ')}`;
    report.error([...path, name], message, { on: 'key', suggestion: nearest(name, known) });
  }
}

/** Names of credentials that are public in all the protocols that use them. */
const PUBLIC =
  /^(address|application_name|comment|confirm|database|dbname|host|hostkey|lifetime|org|organization|port|region|ssl(mode|host|rootcert|cert)|tenant|user|username|account)$/i;

function literalText(text: string, path: Path, multiline: boolean, context: Context): string {
  const { report } = context;
  const entry = nodeAt(context.options.tree, [...path, 'get']);
  const node = entry?.node.kind === 'scalar' ? entry.node : undefined;
  noteLiteral(node, text, path, context);
  if (multiline) {
    if (text.includes('\0')) report.error(path, 'the credential holds a NUL');
    return text;
  }
  let line = text;
  if (node?.style === 'block' && line.endsWith('\n')) {
    line = line.slice(0, -1);
    report.warn(path, 'the line break at the end of this block is dropped: write |- to leave it out');
  }
  // eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(line)) {
    report.error(path, 'the credential holds a line break or another control character');
  } else if (/^[ \t]|[ \t]$/.test(line)) report.error(path, 'the credential begins or ends with a blank');
  return line;
}

function noteLiteral(node: ScalarNode | undefined, text: string, path: Path, context: Context): void {
  if (context.literalNoted || text === '' || node?.expanded === true || PUBLIC.test(String(path.at(-1)))) return;
  context.literalNoted = true;
  context.report.warn(path, 'a credential stands in this file: fetch it with `from`, or let ${NAME} bring it in');
}
