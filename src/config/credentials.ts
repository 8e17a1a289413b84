import { findProvider, providerWords, type CatalogConnector, type CatalogProvider } from './catalog.ts';
import type { CredentialReference } from './config.ts';
import type { Context } from './context.ts';
import { nearest } from './nearest.ts';
import { nodeAt, type Path, type ScalarNode } from './node.ts';
import { MASK } from './print.ts';
import { quote } from './problem.ts';
import type { Service } from './schema.ts';
import type { Loose } from './validate.ts';

type WrittenCredentials = Loose<Service['credentials']>;
type WrittenReference = { readonly from?: string | undefined; readonly get?: string | undefined };
type WrittenByName = Readonly<Record<string, WrittenReference | undefined>>;

/** Checks the credentials of one service: names against the connector, sources against the providers. */
export function buildCredentials(
  written: WrittenCredentials | undefined,
  connector: CatalogConnector | undefined,
  path: Path,
  context: Context,
): Record<string, CredentialReference> {
  const credentials: Record<string, CredentialReference> = {};
  if (written === undefined) return credentials;
  // As `isNameless` has it: in the canonical form a credential by such a name is a map.
  if (typeof written.from === 'string') return buildNameless(written, connector, path, context);
  const named = written as WrittenByName;
  checkNames(named, connector, path, context);
  for (const [name, credential] of Object.entries(named)) {
    const spec = connector?.credentials.find((known) => known.name === name);
    const multiline = connector === undefined || (spec ?? { multiline: connector.otherCredentialsMultiline }).multiline;
    const built = buildCredential(name, credential, [...path, name], context, multiline === true);
    if (built !== undefined) credentials[name] = built;
  }
  return credentials;
}

/** One credential; of what its provider brings, it is the value after the `#`, else the one of its own name. */
export function buildCredential(
  name: string,
  written: WrittenReference | undefined,
  path: Path,
  context: Context,
  multiline = false,
): CredentialReference | undefined {
  const reference = buildReference(written, path, multiline, context);
  return reference === undefined ? undefined : chooseField(name, reference, path, context);
}

/** `{from, get}` without a name: one reference for each field that the provider brings. */
function buildNameless(
  written: WrittenReference,
  connector: CatalogConnector | undefined,
  path: Path,
  context: Context,
): Record<string, CredentialReference> {
  const provider = providerOf(written.from!, context);
  if (provider !== undefined && provider.fields === undefined) {
    const hint = 'write the name of the credential above `from` and `get`';
    const message = `provider ${quote(provider.name)} brings one value, and credentials are named: ${hint}`;
    context.report.error(path, message);
    return {};
  }
  const reference = buildReference(written, path, false, context);
  if (reference === undefined || provider?.fields === undefined) return {};
  checkFields(provider.name, provider.fields, connector, path, context);
  return Object.fromEntries(provider.fields.map((field) => [field, { ...reference, field }]));
}

function checkFields(
  provider: string,
  fields: readonly string[],
  connector: CatalogConnector | undefined,
  path: Path,
  { report }: Context,
): void {
  if (connector === undefined) return;
  const brings = `provider ${quote(provider)} brings ${fields.join(', ')}`;
  const missing = connector.credentials.filter(({ name, required }) => required && !fields.includes(name));
  for (const { name } of missing) {
    report.error(path, `the credential ${quote(name)} is missing: ${brings}`, { on: 'key' });
  }
  if (connector.otherCredentials !== undefined || missing.length > 0) return;
  const known = connector.credentials.map(({ name }) => name);
  const unknown = fields.filter((field) => !known.includes(field));
  if (unknown.length > 0) {
    const message = `${brings}, and ${connector.name} does not take ${unknown.join(', ')}`;
    report.error(path, message, { on: 'key' });
  }
}

/** Which field a named reference is for: the one after the last `#` of its id, else the one of its own name. */
function chooseField(
  name: string,
  reference: CredentialReference,
  path: Path,
  context: Context,
): CredentialReference | undefined {
  const fields = providerOf(reference.from, context)?.fields;
  if (fields === undefined || reference.field !== undefined) return reference;
  if (fields.includes(name)) return { ...reference, field: name };
  const choices = fields.map((field) => `#${field}`).join(', ');
  context.report.error([...path, 'get'], `say which of its values this credential is: add one of ${choices}`);
  return undefined;
}

/** Splits the id of a provider with several fields at its last `#`. */
function splitField(
  get: string,
  fields: readonly string[],
  path: Path,
  { report }: Context,
): Pick<CredentialReference, 'get' | 'field'> {
  const at = get.lastIndexOf('#');
  if (at < 0) return { get };
  const field = get.slice(at + 1);
  if (!fields.includes(field)) {
    const message = `there is no such value after the #: there is ${fields.join(', ')}`;
    report.error([...path, 'get'], message, { suggestion: nearest(field, fields) });
  }
  return { get: get.slice(0, at), field };
}

function providerOf(from: string, { providers, options }: Context): CatalogProvider | undefined {
  const named = providers.get(from);
  const type = named === undefined ? from : named.type;
  const found = type === undefined ? undefined : findProvider(options.catalog, type);
  return found?.in === 'build' ? found.provider : undefined;
}

/** Checks one `{from, get}`. A literal that is refused is named by its place alone. */
export function buildReference(
  written: WrittenReference | undefined,
  path: Path,
  multiline: boolean,
  context: Context,
): CredentialReference | undefined {
  if (written?.from === undefined) return undefined;
  const { from } = written;
  checkProvider(from, path, context);
  if (written.get === undefined) return undefined;
  const provider = providerOf(from, context);
  if ((context.providers.get(from) ?? { type: from }).type === 'literal') {
    return { from, get: literalText(written.get, path, multiline, context) };
  }
  const reference =
    provider?.fields === undefined ? { get: written.get } : splitField(written.get, provider.fields, path, context);
  const problem = provider?.checkId?.(reference.get, context.providerOptions.get(from));
  if (problem !== undefined) context.report.error([...path, 'get'], problem);
  return { from, ...reference };
}

function checkProvider(from: string, path: Path, { providers, report, options }: Context): void {
  if (providers.has(from)) return;
  const found = findProvider(options.catalog, from);
  if (found.in === 'build') return;
  if (found.in === 'elsewhere') {
    report.error([...path, 'from'], `provider ${quote(from)} is not in this build`, { kind: 'not-in-build' });
    return;
  }
  const known = [...providerWords(options.catalog), ...providers.keys()];
  // Whoever swaps `from` and `get` may have written the credential here, so the word is not repeated.
  const suggestion = nearest(from, known);
  const message = `no such provider${suggestion === undefined ? `: there is ${known.join(', ')}` : ''}`;
  report.error([...path, 'from'], message, { suggestion });
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
  written: WrittenByName,
  connector: CatalogConnector | undefined,
  path: Path,
  { report, options, providers }: Context,
): void {
  const names = Object.keys(written);
  const { from, get } = written;
  if (from?.from === 'literal' && get?.from === 'literal' && from.get !== undefined) {
    const isSource = providers.has(from.get) || findProvider(options.catalog, from.get).in !== 'nowhere';
    // The credentials would be the words `aws` and `default`.
    if (isSource) return report.error(path, '`from` and `get` without a name stand alone: name every credential here');
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
  /^(address|application_name|comment|confirm|database|dbname|host|hostkey|knownhosts|lifetime|org|organization|port|region|ssl(mode|host|rootcert|cert)|tenant|user|username|account)$/i;

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
