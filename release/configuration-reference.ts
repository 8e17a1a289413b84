import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { format, resolveConfig } from 'prettier';
import type { CatalogConnector, CatalogProvider } from '../src/config/catalog.ts';
import { connectorWords, providerWords } from '../src/config/catalog.ts';
import { emitSchema } from '../src/config/emit.ts';
import { HTTP_KEYS } from '../src/config/http-keys.ts';
import { grammar } from '../src/config/schema.ts';
import { CATALOG } from '../src/main.ts';
import { defaults } from './reference/defaults.ts';
import { examples, uses, type Example } from './reference/examples.ts';
import { keysOf, type Key, type Schema } from './reference/keys.ts';
import { MEANINGS, SECTIONS } from './reference/words.ts';

/**
 * Writes `docs/configuration.md`: every key of the grammar, of each connector's `config` and of each provider's options,
 * with type, default, meaning and an example. `--print` prints it instead.
 */

const ROOT = resolve(import.meta.dirname, '..');
export const REFERENCE_FILE = join(ROOT, 'docs/configuration.md');

const HEAD = `# Configuration reference

Every key of \`secretless.yml\`, written by \`npm run docs\` from the schema that the sidecar validates with, so it is never behind
it. What the parts do together is told in the [README](../README.md#configuration); editors complete and check with
[config/secretless.schema.json](../config/secretless.schema.json); \`secretless check --print\` shows how a file was understood.

Where it says **duration**: \`500ms\`, \`5s\`, \`1h30m\`, at most 24 h. **Size**: \`4096\`, \`32KiB\`, \`50MB\`. **Credential**: \`{ from: provider, get: id }\`,
or a plain text, which is the value itself. \`\${NAME}\` in any value stands for that variable of the environment. Relative paths in
\`tls\`, \`ledger\` and \`control\` start at the folder of the file. \`<name>\` is a name of your own, \`[]\` each item of a list.
`;

/** The whole page, formatted as the repository is. */
export async function configurationReference(): Promise<string> {
  const page = [HEAD, ...coreSections(), ...connectorSections(), ...providerSections()].join('\n');
  return format(page, { ...(await resolveConfig(REFERENCE_FILE)), parser: 'markdown' });
}

interface Row extends Key {
  readonly defaultText: string;
  readonly example: string;
}

/** Every row of the page, by the part that it belongs to. */
export function referenceRows(): ReadonlyMap<string, readonly Row[]> {
  const found = examplesOf();
  return new Map([
    ['', coreRows(found)],
    ['every HTTP connector', httpRows(found)],
    ...CATALOG.connectors.map((each) => [`connector ${each.name}`, connectorRows(each, found)] as const),
    ...CATALOG.providers.map((each) => [`provider ${each.name}`, providerRows(each, found)] as const),
  ]);
}

function examplesOf(): Example[] {
  const words = CATALOG.connectors.flatMap(({ name, aliases = [] }) =>
    [name, ...aliases].map((word) => [word, name] as const),
  );
  return examples(ROOT, new Map(words));
}

function coreRows(found: readonly Example[]): Row[] {
  const known = defaults();
  const words = { connectors: connectorWords(CATALOG), providers: providerWords(CATALOG) };
  return keysOf(grammar('written', words) as unknown as Schema).map((key) => ({
    ...key,
    meaning: MEANINGS[key.path] ?? key.meaning,
    defaultText: key.required ? '**required**' : (known.get(key.path) ?? 'none'),
    example: linkTo(found.find(({ paths }) => paths.has(key.path))?.file),
  }));
}

/** What stands in `config` of every HTTP service: the schema for editors has it beside what the connector takes. */
function httpRows(found: readonly Example[]): Row[] {
  const { name } = CATALOG.connectors.find(({ kind }) => kind === 'http')!;
  const branches = (emitSchema(CATALOG) as EmittedSchema).else.properties.services.else.additionalProperties.allOf;
  const branch = branches.find(
    (each) => each.if.properties.connector?.enum?.includes(name) === true && each.then !== undefined,
  )!;
  const [{ properties = {} }] = branch.then!.properties.config.anyOf;
  const own = HTTP_KEYS.filter((key) => !properties[key]!.description!.startsWith('Old:'));
  return keysOf({ type: 'object', properties: Object.fromEntries(own.map((key) => [key, properties[key]!])) }).map(
    (key) => ({
      ...key,
      defaultText: 'none',
      example: linkTo(
        found.find(({ connectors }) => [...connectors.values()].some((used) => uses(used, key.path)))?.file,
      ),
    }),
  );
}

/** The way to the `config` of a connector in the schema for editors. */
interface EmittedSchema {
  readonly else: {
    readonly properties: {
      readonly services: { readonly else: { readonly additionalProperties: { readonly allOf: readonly Branch[] } } };
    };
  };
}

interface Branch {
  readonly if: { readonly properties: { readonly connector?: Schema } };
  readonly then?: { readonly properties: { readonly config: { readonly anyOf: readonly [Schema] } } };
}

function connectorRows({ name, config }: CatalogConnector, found: readonly Example[]): Row[] {
  const told = toldDefaults(`connectors/${name}/README.md`, 'key');
  const [own, others] = [`connectors/${name}/example.yml`, found.filter(({ file }) => !file.startsWith('docs/'))];
  const ordered = [...found.filter(({ file }) => file === own), ...others, ...found];
  return keysOf(config as Schema).map((key) => ({
    ...key,
    meaning: MEANINGS[`${name}: ${key.path}`] ?? key.meaning,
    defaultText: key.required ? '**required**' : (told.get(key.path) ?? 'none'),
    example: linkTo(ordered.find(({ connectors }) => uses(connectors.get(name), key.path))?.file),
  }));
}

function providerRows({ name, config }: CatalogProvider, found: readonly Example[]): Row[] {
  const told = toldDefaults(`src/providers/${name}/README.md`, 'option');
  return keysOf(config as Schema).map((key) => ({
    ...key,
    meaning: MEANINGS[`${name}: ${key.path}`] ?? key.meaning,
    defaultText: key.required ? '**required**' : (told.get(key.path) ?? 'none'),
    example: linkTo(found.find(({ providers }) => uses(providers.get(name), key.path))?.file),
  }));
}

/** The column `default` of the table in a README: schemas hold none, since the parts themselves know theirs. */
function toldDefaults(file: string, first: string): ReadonlyMap<string, string> {
  const rows = readFileSync(join(ROOT, file), 'utf8')
    .split('\n')
    .map((line) =>
      line.startsWith('|')
        ? line
            .split(/(?<!\\)\|/)
            .slice(1, -1)
            .map((cell) => cell.trim())
        : [],
    );
  const head = rows.findIndex((cells) => cells[0] === first && cells.includes('default'));
  const column = rows[head]?.indexOf('default') ?? -1;
  const end = rows.findIndex((cells, at) => at > head && cells.length === 0);
  const body = head < 0 ? [] : rows.slice(head + 2, end < 0 ? undefined : end);
  return new Map(body.map((cells) => [cells[0]!.replaceAll('`', ''), cells[column]!]));
}

function linkTo(file: string | undefined): string {
  if (file === undefined) return '';
  const [, connector] = /^connectors\/([^/]+)\//.exec(file) ?? [];
  const name = connector ?? file.slice(file.lastIndexOf('/') + 1).replace('.yml', '');
  return `[${name}](${file.startsWith('docs/') ? file.slice('docs/'.length) : `../${file}`})`;
}

function coreSections(): string[] {
  const rows = coreRows(examplesOf());
  return SECTIONS.map(({ title, begins, text }) => {
    const own = rows.filter(
      ({ path }) => path === begins || path.startsWith(`${begins}.`) || path.startsWith(`${begins}[]`),
    );
    return `## ${title}\n\n${text}\n\n${table(own)}\n`;
  });
}

function connectorSections(): string[] {
  const found = examplesOf();
  return [
    '## Connectors\n\nWhat stands below `services.<name>.config` and `services.<name>.credentials`, by connector.\n',
    `### Every HTTP connector\n\nBeside what the connector has of its own.\n\n${table(httpRows(found))}\n`,
    ...CATALOG.connectors.map((connector) => {
      const { name, aliases = [] } = connector;
      const also = aliases.length === 0 ? '' : ` (also \`${aliases.join('`, `')}\`)`;
      const rows = connectorRows(connector, found);
      const keys = rows.length === 0 ? 'No keys of its own.\n' : `${table(rows)}\n`;
      return `### \`${name}\`${also}\n\n[Its page](../connectors/${name}/README.md).\n\n${keys}\n${credentials(connector)}`;
    }),
  ];
}

function credentials({ credentials: specs, otherCredentials }: CatalogConnector): string {
  const rows = specs.map(({ name, required, meaning, example }) => [
    `\`${name}\``,
    required ? 'yes' : 'no',
    meaning,
    `\`${example}\``,
  ]);
  const others = otherCredentials === undefined ? [] : [['any other', 'no', otherCredentials, '']];
  return lines([['credential', 'required', 'meaning', 'example'], ...rows, ...others]);
}

function providerSections(): string[] {
  const found = examplesOf();
  return [
    '## Providers\n\nWhat stands below `providers.<name>` beside `type`, by type. Without options the plain name works in `from:` as it is.\n',
    ...CATALOG.providers.map((provider) => {
      const rows = providerRows(provider, found);
      const options = rows.length === 0 ? 'No options.\n' : table(rows);
      return `### \`${provider.name}\`\n\n[Its page](../src/providers/${provider.name}/README.md).\n\n${options}\n`;
    }),
  ];
}

function table(rows: readonly Row[]): string {
  const body = rows.map(({ path, type, defaultText, meaning, example }) => [
    `\`${path}\``,
    type,
    defaultText,
    meaning,
    example,
  ]);
  return lines([['key', 'type', 'default', 'meaning', 'example'], ...body]);
}

function lines([head, ...body]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll(/(?<!\\)\|/g, '\\|')).join(' | ')} |`;
  return [line(head!), line(head!.map(() => '---')), ...body.map(line)].join('\n') + '\n';
}

if (import.meta.main) {
  const page = await configurationReference();
  if (process.argv.includes('--print')) process.stdout.write(page);
  else writeFileSync(REFERENCE_FILE, page);
}
