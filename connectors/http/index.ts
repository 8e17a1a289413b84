import {
  compilePattern,
  defineHttpConnector,
  lineOf,
  lineProblem,
  SidecarError,
  withHeader,
  withQueryParameter,
  type AuthenticateContext,
  type Authenticated,
  type Credentials,
  type HttpService,
  type Pattern,
  type RequestHead,
} from 'secretless-sidecar/connector';
import { checkHttpConfig, httpConfig, type HttpConfig } from './config.ts';
import { fieldValueProblem } from './field-name.ts';
import { FORM_BYTES_MAX, freshStamp, hasForm, oauthAuthorization, withoutOauthQuery } from './oauth1.ts';
import { compileTemplate, type CredentialTexts, type Template } from './template.ts';

/** Injects header fields, query parameters or an OAuth 1.0a signature, each written as a template. */
export const http = defineHttpConnector({
  kind: 'http',
  name: 'http',
  aliases: ['generic_http'],
  summary: 'any HTTP API: credentials in headers, query parameters or an OAuth 1.0a signature',
  config: httpConfig,
  credentials: [],
  otherCredentials: 'a value that templates name as {{ .name }}',
  check: checkHttpConfig,
  open: (config) => new TemplatedHttp(config),
});

interface Injection {
  readonly name: string;
  /** For the log: which part of the configuration this is. */
  readonly place: string;
  readonly template: Template;
}

class TemplatedHttp implements HttpService {
  readonly #headers: readonly Injection[];
  readonly #query: readonly Injection[];
  readonly #oauth1: Readonly<Record<keyof NonNullable<HttpConfig['oauth1']>, Injection>> | undefined;
  readonly #validations: readonly { readonly name: string; readonly pattern: Pattern }[];

  /** Errors: `config-invalid`. */
  constructor(config: HttpConfig) {
    try {
      this.#headers = injections(config.headers, 'header');
      this.#query = injections(config.queryParams, 'query parameter');
      this.#oauth1 = config.oauth1 && {
        consumer_key: injection('consumer_key', config.oauth1.consumer_key, 'oauth1'),
        consumer_secret: injection('consumer_secret', config.oauth1.consumer_secret, 'oauth1'),
        token: injection('token', config.oauth1.token, 'oauth1'),
        token_secret: injection('token_secret', config.oauth1.token_secret, 'oauth1'),
      };
      this.#validations = Object.entries(config.credentialValidations ?? {}).map(([name, source]) => ({
        name,
        pattern: compilePattern(source),
      }));
    } catch (cause) {
      throw new SidecarError('config-invalid', {
        cause,
        detail: cause instanceof Error ? cause.message : 'bad template',
      });
    }
  }

  body(head: RequestHead): 'stream' | { readonly buffer: number } {
    return this.#oauth1 !== undefined && hasForm(head) ? { buffer: FORM_BYTES_MAX } : 'stream';
  }

  authenticate(given: RequestHead, credentials: Credentials, context: AuthenticateContext): Authenticated {
    const texts = textsOf(credentials);
    this.#validate(texts);
    let head = given;
    for (const each of this.#headers) head = withHeader(head, each.name, headerValue(each, texts));
    for (const each of this.#query) head = withQueryParameter(head, each.name, line(each, texts));
    // Last, so that the signature covers the injected query parameters.
    if (this.#oauth1 !== undefined) head = this.#sign(head, texts, context);
    return { head };
  }

  #validate(texts: CredentialTexts): void {
    for (const { name, pattern } of this.#validations) {
      if (pattern.matches(texts.text(name))) continue;
      throw new SidecarError('credential-unfit', { detail: `credential "${name}" does not match its validation` });
    }
  }

  #sign(given: RequestHead, texts: CredentialTexts, { origin, body, now }: AuthenticateContext): RequestHead {
    const { consumer_key, consumer_secret, token, token_secret } = this.#oauth1!;
    const keys = {
      consumerKey: line(consumer_key, texts),
      consumerSecret: line(consumer_secret, texts),
      token: line(token, texts),
      tokenSecret: line(token_secret, texts),
    };
    const head = withoutOauthQuery(given);
    return withHeader(head, 'Authorization', oauthAuthorization({ head, origin, body }, keys, freshStamp(now)));
  }
}

function injections(templates: Readonly<Record<string, string>> | undefined, section: string): readonly Injection[] {
  return Object.entries(templates ?? {}).map(([name, source]) => injection(name, source, section));
}

function injection(name: string, source: string, section: string): Injection {
  return { name, place: `${section} "${name}"`, template: compileTemplate(source) };
}

function textsOf(credentials: Credentials): CredentialTexts {
  return { names: credentials.names, text: (name) => lineOf(credentials.get(name), name) };
}

/** The rendered value, fit to stand on one line. */
function line({ template, place }: Injection, texts: CredentialTexts): string {
  const value = render(template, place, texts);
  const problem = lineProblem(value);
  if (problem !== undefined) throw new SidecarError('credential-unfit', { detail: `${place} ${problem}` });
  return value;
}

function headerValue(injection: Injection, texts: CredentialTexts): string {
  const value = line(injection, texts);
  const problem = fieldValueProblem(value);
  if (problem !== undefined) throw new SidecarError('credential-unfit', { detail: `${injection.place} ${problem}` });
  return value;
}

function render(template: Template, place: string, texts: CredentialTexts): string {
  try {
    return template.render(texts);
  } catch (cause) {
    if (!(cause instanceof SidecarError)) throw cause;
    throw new SidecarError(cause.code, { detail: `${place}: ${cause.detail ?? cause.sentence}`, cause });
  }
}
