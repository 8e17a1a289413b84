import {
  compilePattern,
  type ConfigProblem,
  foldName,
  lineProblem,
  type Static,
  Type,
} from 'secretless-sidecar/connector';
import { fieldNameProblem } from './field-name.ts';
import { suggestion } from './nearest.ts';
import { compileTemplate, type Template } from './template.ts';

const templates = { type: 'string', description: 'Go text/template over the credentials of the service' };

export const httpConfig = Type.Object(
  {
    headers: Type.Optional(
      Type.Record(Type.String(), Type.String(templates), { description: 'Header fields to set, name to template' }),
    ),
    queryParams: Type.Optional(
      Type.Record(Type.String(), Type.String(templates), {
        description: 'Query parameters to append, name to template',
      }),
    ),
    oauth1: Type.Optional(
      Type.Object(
        {
          consumer_key: Type.String(templates),
          consumer_secret: Type.String(templates),
          token: Type.String(templates),
          token_secret: Type.String(templates),
        },
        { additionalProperties: false, description: 'OAuth 1.0a with HMAC-SHA1, each part a template' },
      ),
    ),
    credentialValidations: Type.Optional(
      Type.Record(Type.String(), Type.String({ description: 'Go regular expression, unanchored' }), {
        description: 'What each credential has to match before it is used',
      }),
    ),
  },
  { additionalProperties: false },
);

export type HttpConfig = Static<typeof httpConfig>;

/** Problems that the schema cannot see, all of them. */
export function checkHttpConfig(config: HttpConfig, credentialNames: readonly string[]): readonly ConfigProblem[] {
  return [
    ...emptyProblems(config),
    ...headerProblems(config),
    ...queryProblems(config),
    ...templateProblems(config, credentialNames),
    ...validationProblems(config, credentialNames),
  ];
}

function emptyProblems({ headers = {}, queryParams = {}, oauth1 }: HttpConfig): ConfigProblem[] {
  if (Object.keys(headers).length > 0 || Object.keys(queryParams).length > 0 || oauth1 !== undefined) return [];
  return [{ path: [], message: 'nothing to inject: write headers, queryParams or oauth1' }];
}

function headerProblems({ headers = {}, oauth1 }: HttpConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const seen = new Map<string, string>();
  for (const name of Object.keys(headers)) {
    const path = ['headers', name];
    const problem = fieldNameProblem(name);
    if (problem !== undefined) problems.push({ path, message: problem });
    const folded = foldName(name);
    const twin = seen.get(folded);
    if (twin !== undefined) problems.push({ path, message: `${name} and ${twin} are the same header to an upstream` });
    seen.set(folded, name);
    if (folded === 'authorization' && oauth1 !== undefined) {
      problems.push({ path, message: 'oauth1 writes the Authorization header itself: keep one of the two' });
    }
  }
  return problems;
}

function queryProblems({ queryParams = {} }: HttpConfig): ConfigProblem[] {
  if (!Object.hasOwn(queryParams, '')) return [];
  return [{ path: ['queryParams', ''], message: 'a query parameter needs a name' }];
}

function templateProblems(config: HttpConfig, credentialNames: readonly string[]): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const section of ['headers', 'queryParams', 'oauth1'] as const) {
    for (const [name, source] of Object.entries(config[section] ?? {})) {
      const messages = templateMessages(source, credentialNames);
      problems.push(...messages.map((message) => ({ path: [section, name], message })));
    }
  }
  return problems;
}

function templateMessages(source: string, credentialNames: readonly string[]): string[] {
  let template: Template;
  try {
    template = compileTemplate(source);
  } catch (error) {
    return [`the template cannot be used: ${reasonOf(error)}`];
  }
  const messages = template.credentials
    .filter((name) => !credentialNames.includes(name))
    .map((name) => `the template names the credential ${unknownCredential(name, credentialNames)}`);
  if (lineProblem(`.${template.fixedText}.`) !== undefined) {
    messages.push(
      'the template holds a line break or another control character (a YAML block keeps its last one: write >- )',
    );
  }
  return messages;
}

function validationProblems(
  { credentialValidations = {} }: HttpConfig,
  credentialNames: readonly string[],
): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  for (const [name, pattern] of Object.entries(credentialValidations)) {
    const path = ['credentialValidations', name];
    if (!credentialNames.includes(name)) {
      problems.push({ path, message: `this validates the credential ${unknownCredential(name, credentialNames)}` });
    }
    try {
      compilePattern(pattern);
    } catch (error) {
      problems.push({ path, message: `the pattern ${reasonOf(error)}` });
    }
  }
  return problems;
}

function unknownCredential(name: string, credentialNames: readonly string[]): string {
  return `"${name}", which this service does not have${suggestion(name, credentialNames)}`;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown reason';
}
