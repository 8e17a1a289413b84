import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Credentials } from '../credential/lease.ts';
import { SidecarError } from '../error.ts';
import type { AuthenticateContext, BodyNeed, HttpConnector, HttpService } from './connector.ts';
import { foldName, type RequestHead } from './head.ts';
import { lineProblem } from './text.ts';
import { holdsSecret, print } from './testing-traces.ts';
import { credentialsOf, requestHead, type ConformanceCheck, type ConnectorSample } from './testing.ts';

type WholeSample = Required<ConnectorSample>;
type Values = Readonly<Record<string, string>>;

const CONTEXT = {
  origin: { scheme: 'https', host: 'api.example.com', port: 443 },
  now: new Date(1_700_000_000_000),
} as const;
const CLIENT_COPY = 'client-copy';
const FRAMING = /^(?:host|content-length|transfer-encoding|connection|upgrade|te|trailer|keep-alive|expect|proxy-.*)$/;
const UNFIT = [
  ['a line break', (value: string) => `${value}\r\nX-Smuggled: 1`],
  ['a lone newline', (value: string) => `${value}\n${value}`],
  ['a NUL', (value: string) => `${value}\0`],
  ['an outer blank', (value: string) => ` ${value}`],
] as const;

/** What an http connector keeps while it runs. */
export function httpChecks(connector: HttpConnector, sample: WholeSample): readonly ConformanceCheck[] {
  const open = (): HttpService => beginning(connector.open(sample.config), sample);
  return [
    { name: 'authenticate puts the credential on the request', run: () => checkInjects(open(), sample) },
    {
      name: 'authenticate returns a new head and leaves the given one untouched',
      run: () => checkUntouched(open(), sample),
    },
    { name: 'authenticate removes client copies in every spelling', run: () => checkCopies(open(), sample) },
    { name: 'authenticate keeps all other fields and parameters byte for byte', run: () => checkRest(open(), sample) },
    { name: 'authenticate injects well-formed fields and none of the framing', run: () => checkForm(open(), sample) },
    { name: 'each use takes the credentials of its own lease', run: () => checkIndependence(open, sample) },
    { name: 'an unfit secret is refused with credential-unfit', run: () => checkUnfit(connector, open(), sample) },
    {
      name: 'a missing credential is refused with credential-missing',
      run: () => checkMissing(connector, open(), sample),
    },
    { name: 'no error quotes a secret', run: () => checkErrors(open(), sample) },
    { name: 'the service prints no secret', run: () => checkPrint(open(), sample) },
  ];
}

const PLAIN = requestHead('GET', '/v1/things?keep=%2f+1&flag&b=2', { Accept: '*/*', 'X-Kept': 'kept' });

/** A service that reads its requests first, seen as one that does not: each head is presented and begun with. */
function beginning(service: HttpService, { present }: WholeSample): HttpService {
  if (service.begin === undefined) return service;
  const begin = (head: RequestHead) => {
    const { origin, now } = CONTEXT;
    const begun = service.begin!({ head: present(head, now), origin, bound: true, basePath: '', now });
    return { begun, head: { ...begun.head, headers: endToEnd(begun.head) } };
  };
  const adapted = {
    // For the check that looks at what a service prints.
    service,
    body(given: RequestHead): BodyNeed {
      const { begun, head } = begin(given);
      return begun.body?.(head) ?? 'stream';
    },
    authenticate(given: RequestHead, credentials: Credentials, context: AuthenticateContext) {
      const { begun, head } = begin(given);
      return begun.authenticate(head, credentials, context);
    },
    close: () => service.close?.(),
  };
  return adapted;
}

function endToEnd(head: RequestHead): string[] {
  return pairsOf(head)
    .filter(([name]) => !FRAMING.test(name.toLowerCase()))
    .flat();
}

/** What goes with a request that has no body. */
function withoutBody(need: BodyNeed): Pick<AuthenticateContext, 'body' | 'bodySha256'> {
  if (need === 'stream') return {};
  return 'digest' in need ? { bodySha256: createHash('sha256').digest('hex') } : { body: new Uint8Array() };
}

async function authenticate(service: HttpService, values: Values, head: RequestHead = PLAIN): Promise<RequestHead> {
  const version = createHash('sha256').update(JSON.stringify(values)).digest('hex');
  const context = { ...CONTEXT, version, ...withoutBody(service.body?.(head) ?? 'stream') };
  return (await service.authenticate(head, credentialsOf(values), context)).head;
}

interface Injected {
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly parameters: readonly string[];
}

/** What the result has that the given head has not. */
function injectedBy(given: RequestHead, result: RequestHead): Injected {
  const before = new Set(pairsOf(given).map(([name, value]) => `${name}\n${value}`));
  const parametersBefore = new Set(parametersOf(given));
  return {
    headers: pairsOf(result).filter(([name, value]) => !before.has(`${name}\n${value}`)),
    parameters: parametersOf(result)
      .filter((pair) => !parametersBefore.has(pair))
      .map((pair) => pair.split('=', 1)[0]!),
  };
}

function pairsOf({ headers }: RequestHead): (readonly [string, string])[] {
  const pairs: [string, string][] = [];
  for (let at = 0; at < headers.length; at += 2) pairs.push([headers[at]!, headers[at + 1] ?? '']);
  return pairs;
}

function parametersOf({ target }: RequestHead): string[] {
  const mark = target.indexOf('?');
  return mark < 0 ? [] : target.slice(mark + 1).split('&');
}

async function checkInjects(service: HttpService, { credentials }: WholeSample): Promise<void> {
  const { headers, parameters } = injectedBy(PLAIN, await authenticate(service, credentials));
  if (headers.length + parameters.length === 0)
    throw new Error('authenticate changed neither a header nor a parameter');
}

async function checkUntouched(service: HttpService, { credentials }: WholeSample): Promise<void> {
  const given = { method: PLAIN.method, target: PLAIN.target, headers: [...PLAIN.headers] };
  const result = await authenticate(service, credentials, given);
  if (!isDeepStrictEqual(given, structuredClone(PLAIN)))
    throw new Error('authenticate changed the head that it was given');
  if (result === given) throw new Error('authenticate returned the head that it was given');
}

async function checkCopies(service: HttpService, { credentials, rewritesQuery }: WholeSample): Promise<void> {
  const { headers, parameters: changed } = injectedBy(PLAIN, await authenticate(service, credentials));
  const own = parametersOf(PLAIN).map((pair) => pair.split('=', 1)[0]!);
  const parameters = rewritesQuery ? changed.filter((name) => !own.includes(name)) : changed;
  const names = headers.map(([name]) => name);
  for (const spell of SPELLINGS) {
    const copies = Object.fromEntries(names.map((name) => [spell(name), CLIENT_COPY]));
    const query = parameters.map((name) => `${percent(name)}=${CLIENT_COPY}&${name}=${CLIENT_COPY}&`).join('');
    const target = `/v1/things?${query}keep=1`;
    if (await takesAway(service, credentials, requestHead('GET', target, { ...copies, 'X-Kept': 'kept' }))) continue;
    // Refused for one of them: the others may pass all the same.
    for (const [name, copy] of Object.entries(copies)) {
      await takesAway(service, credentials, requestHead('GET', target, { [name]: copy, 'X-Kept': 'kept' }));
    }
  }
}

/** True where the copies were taken away, false where the request was refused for them. Throws where they are left. */
async function takesAway(service: HttpService, credentials: Values, given: RequestHead): Promise<boolean> {
  const thrown = await thrownBy(async () => {
    const result = await authenticate(service, credentials, given);
    const left = pairsOf(result).find(([, value]) => value === CLIENT_COPY);
    if (left !== undefined) throw new Error(`a client's own ${left[0]} is still there`);
    if (result.target.includes(CLIENT_COPY)) throw new Error("a client's own query parameter is still there");
    const folded = pairsOf(result).map(([name]) => foldName(name));
    const twice = folded.find((name, at) => folded.indexOf(name) !== at);
    if (twice !== undefined) throw new Error(`the field ${twice} is there twice`);
  });
  if (thrown === undefined) return true;
  if (thrown instanceof SidecarError && thrown.fault === 'downstream') return false;
  throw thrown as Error;
}

const SPELLINGS: readonly ((name: string) => string)[] = [
  (name) => name,
  (name) => name.toLowerCase(),
  (name) => name.toUpperCase(),
  (name) => name.replaceAll('-', '_'),
  (name) => name.replaceAll('_', '-'),
  (name) => name.replaceAll('-', '_').toUpperCase(),
];

/** The first character written as a percent-escape: the same name after decoding. */
function percent(name: string): string {
  return name.startsWith('%') ? name : `%${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
}

async function checkRest(service: HttpService, { credentials, rewritesQuery }: WholeSample): Promise<void> {
  const result = await authenticate(service, credentials);
  if (result.method !== PLAIN.method) throw new Error('the method changed');
  if (rewritesQuery ? !isSameRequest(result) : !startsAsPlain(result)) {
    throw new Error('the target is not the given one, with parameters appended at most');
  }
  const kept = pairsOf(result).filter(([name]) => PLAIN.headers.includes(name));
  if (!isDeepStrictEqual(kept.flat(), [...PLAIN.headers])) throw new Error('a field that it does not inject changed');
}

function startsAsPlain({ target }: RequestHead): boolean {
  return target === PLAIN.target || target.startsWith(`${PLAIN.target}&`);
}

/** The same path, and every parameter with its value, whatever their order and spelling. */
function isSameRequest({ target }: RequestHead): boolean {
  const [path, query] = target.split('?', 2);
  const [plainPath, plainQuery] = PLAIN.target.split('?', 2);
  const left = [...new URLSearchParams(query)].map((pair) => JSON.stringify(pair));
  const all = [...new URLSearchParams(plainQuery)].every((pair) => left.includes(JSON.stringify(pair)));
  return path === plainPath && all;
}

async function checkForm(service: HttpService, { credentials }: WholeSample): Promise<void> {
  const { headers } = injectedBy(PLAIN, await authenticate(service, credentials));
  for (const [name, value] of headers) {
    if (!/^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/.test(name)) throw new Error('an injected field name is not a token');
    if (FRAMING.test(foldName(name))) throw new Error(`the field ${name} belongs to the connection`);
    if (lineProblem(value) !== undefined || !/^[\t\x20-\x7e]*$/.test(value))
      throw new Error(`the field ${name} is not one line of ASCII`);
  }
}

async function checkIndependence(open: () => HttpService, { credentials, rotated }: WholeSample): Promise<void> {
  const [first, second] = [open(), open()];
  if (first === second) throw new Error('open returned one instance for two services');
  const before = await authenticate(first, credentials);
  const others = [await authenticate(second, rotated), await authenticate(first, rotated)];
  for (const each of others) {
    if (holdsSecret(JSON.stringify(each), credentials)) throw new Error('a secret of another lease was sent');
    if (isDeepStrictEqual(each, before)) throw new Error('the request is the same with other credentials');
  }
  second.close?.();
  await authenticate(first, credentials);
}

async function checkUnfit(connector: HttpConnector, service: HttpService, { credentials }: WholeSample): Promise<void> {
  for (const [name, value] of Object.entries(credentials)) {
    if (connector.credentials.some((spec) => spec.name === name && spec.multiline === true)) continue;
    for (const [what, spoil] of UNFIT) {
      const thrown = await thrownBy(() => authenticate(service, { ...credentials, [name]: spoil(value) }));
      if (thrown instanceof SidecarError && thrown.code === 'credential-unfit') continue;
      throw new Error(
        `credential "${name}" with ${what} ${thrown === undefined ? 'was sent' : 'was refused with another error'}`,
      );
    }
  }
}

async function checkMissing(
  connector: HttpConnector,
  service: HttpService,
  { credentials }: WholeSample,
): Promise<void> {
  for (const { name, required } of connector.credentials) {
    if (!required) continue;
    const rest = Object.fromEntries(Object.entries(credentials).filter(([each]) => each !== name));
    const thrown = await thrownBy(() => authenticate(service, rest));
    if (!(thrown instanceof SidecarError) || thrown.code !== 'credential-missing') {
      throw new Error(`authenticate did not refuse to go on without credential "${name}"`);
    }
  }
}

async function checkErrors(service: HttpService, { credentials }: WholeSample): Promise<void> {
  for (const [name, value] of Object.entries(credentials)) {
    const broken = [...UNFIT.map(([, spoil]) => spoil(value)), `${value}\u20ac`, `${value}:\t${value}`, ''];
    for (const each of broken) {
      const thrown = await thrownBy(() => authenticate(service, { ...credentials, [name]: each }));
      if (thrown === undefined) continue;
      if (!(thrown instanceof SidecarError))
        throw new Error(`a broken credential "${name}" throws something other than SidecarError`);
      if (holdsSecret(print(thrown), credentials))
        throw new Error(`the error for a broken credential "${name}" quotes a secret`);
    }
  }
}

async function checkPrint(service: HttpService, { credentials }: WholeSample): Promise<void> {
  await authenticate(service, credentials);
  if (holdsSecret(print(service), credentials)) throw new Error('the service prints a secret after its use');
}

async function thrownBy(run: () => Promise<unknown>): Promise<unknown> {
  try {
    await run();
    return undefined;
  } catch (error) {
    return error ?? new Error('nothing was thrown');
  }
}
