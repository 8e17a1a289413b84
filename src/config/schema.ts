import { Type } from '../schema.ts';
import type { Static } from '../schema.ts';
import { agent, egress } from './schema-egress.ts';
import {
  credential,
  duration,
  listenOn,
  mapOf,
  orShort,
  SCALARS,
  size,
  socketMode,
  strict,
  word,
} from './schema-parts.ts';
import type { View, Words } from './schema-parts.ts';
import { rule } from './schema-rules.ts';

/** By name; or `{from, get}` alone where the provider names what it brings (see `isNameless`). */
function credentials(view: View, words: Words) {
  const one = credential(view, words);
  const nameless = {
    type: 'object',
    required: ['from', 'get'],
    maxProperties: 2,
    properties: { from: { type: 'string' }, get: {} },
  };
  return Type.Unsafe<Record<string, Static<typeof one>> | Static<typeof one>>({
    type: 'object',
    minProperties: 1,
    description: 'The secrets of this service by name; or one `from` and `get` that bring them all, named',
    if: nameless,
    then: one,
    else: { type: 'object', additionalProperties: orShort(view, one, Type.String(), ...SCALARS) },
  });
}

function tls(view: View, words: Words) {
  return strict(
    {
      ca: Type.Optional(
        Type.String({ description: 'Authorities to trust instead of the system’s: a path, or PEM text' }),
      ),
      cert: Type.Optional(Type.String({ description: 'Client certificate: a path, or PEM text' })),
      key: Type.Optional(orShort(view, credential(view, words), Type.String({ description: 'A path, or PEM text' }))),
      servername: Type.Optional(Type.String({ minLength: 1, description: 'Name to verify, where it is not the host' })),
    },
    'TLS with the upstream of an HTTP service; certificates are always verified',
  );
}

function service(view: View, words: Words) {
  const text = Type.String({ minLength: 1 });
  return strict({
    connector: word(view, words.connectors, false, 'Knows the protocol’s login or signing'),
    listenOn: Type.Optional(orShort(view, listenOn(view), text)),
    credentials: credentials(view, words),
    config: Type.Optional(
      Type.Unsafe<Record<string, unknown>>({
        type: view === 'canonical' ? 'object' : ['object', 'null'],
        description: 'What the connector does with the credentials; `authenticateURLsMatching` and `forceSSL` for HTTP',
      }),
    ),
    target: Type.Optional(
      Type.String({ description: 'HTTP, reverse mode: the URL forwarded to', examples: ['https://api.example.com'] }),
    ),
    agent: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'Who this listener belongs to' })),
    unmatched: Type.Optional(
      Type.Union([Type.Literal('deny'), Type.Literal('pass')], {
        description: 'HTTP, forward mode: a request that no service matches',
      }),
    ),
    http2: Type.Optional(
      Type.Union([Type.Literal('auto'), Type.Literal('always'), Type.Literal('never')], {
        description: 'HTTP/2 with the upstream: for agents that speak it and where the upstream does, always, or never',
      }),
    ),
    tls: Type.Optional(tls(view, words)),
    timeouts: Type.Optional(
      strict({
        connect: Type.Optional(duration('TCP and TLS handshake with the upstream')),
        headers: Type.Optional(duration('From the request sent to the response head; of a stream: its login')),
        idle: Type.Optional(duration('Neither side sends a byte; for streams there is no limit by default')),
        credential: Type.Optional(duration('One provider fetch')),
      }),
    ),
    limits: Type.Optional(
      strict({
        connections: Type.Optional(
          Type.Integer({ minimum: 1, maximum: 65535, description: 'To one upstream origin, or of a stream service' }),
        ),
        body: Type.Optional(size('Bytes of an HTTP request body')),
      }),
    ),
    cache: Type.Optional(duration('How long a fetched credential may be reused; absent: fresh for each use')),
    socketMode: Type.Optional(socketMode(view)),
  });
}

/** The version 2 grammar with services as a map, and what is ours on top. */
export function grammar(view: View, words: Words = { connectors: [], providers: [] }) {
  return strict({
    version: orShort(view, Type.Literal('2'), Type.Literal(2)),
    services: Type.Optional(mapOf(service(view, words), { description: 'Services by name' })),
    providers: Type.Optional(
      mapOf(
        Type.Object(
          { type: word(view, words.providers, false, 'Kind of provider') },
          { additionalProperties: true, description: 'A provider with its options' },
        ),
        { description: 'Named stores; the plain provider names exist besides' },
      ),
    ),
    egress: Type.Optional(egress(view, words)),
    agents: Type.Optional(mapOf(agent(view, words), { description: 'Who may be asking, by name' })),
    rules: Type.Optional(
      Type.Array(rule, { description: 'None: each listener may use its own services. Any: default deny' }),
    ),
    ledger: Type.Optional(
      strict({
        file: Type.Optional(Type.String({ minLength: 1 })),
        durability: Type.Optional(Type.Union([Type.Literal('write'), Type.Literal('fsync')])),
        rotate: Type.Optional(size('Size at which a new file begins')),
        keep: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000, description: 'Rotated files kept' })),
      }),
    ),
    control: Type.Optional(strict({ socket: Type.Optional(Type.String({ minLength: 1 })) })),
    telemetry: Type.Optional(
      strict({
        listenOn: Type.Optional(
          orShort(view, Type.String({ description: 'An address, or `off`' }), Type.Literal(false)),
        ),
        log: Type.Optional(
          strict({
            level: Type.Optional(
              Type.Union((['debug', 'info', 'warn', 'error'] as const).map((level) => Type.Literal(level))),
            ),
          }),
        ),
      }),
    ),
    limits: Type.Optional(
      strict({
        connections: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Of one listener' })),
        headerBytes: Type.Optional(size('Largest header section')),
        header: Type.Optional(duration('For a request head to arrive')),
        keepAlive: Type.Optional(duration('Rest between two requests of a connection')),
        request: Type.Optional(duration('For a whole request to arrive; 0s: no limit')),
        drain: Type.Optional(duration('For running work to end after SIGTERM')),
      }),
    ),
  });
}

/** Services as a list: the fields of the map form, with these three written otherwise. */
export function listService(words: Words) {
  const mapForm = service('written', words);
  const name = Type.String({ minLength: 1 });
  return strict({
    ...mapForm.properties,
    name,
    connector: Type.Optional(mapForm.properties.connector),
    authentication: Type.Optional(
      Type.Array(
        strict({ type: Type.String(), config: Type.Optional(Type.Unsafe<object>({ type: ['object', 'null'] })) }),
      ),
    ),
    credentials: Type.Union([
      mapForm.properties.credentials,
      Type.Array(
        strict({
          name,
          provider: Type.Optional(word('written', words.providers, true, 'Provider')),
          from: Type.Optional(Type.String()),
          get: Type.Optional(Type.Union([Type.String(), ...SCALARS])),
        }),
      ),
    ]),
  });
}

/** Version 1 files. */
export const version1 = strict({
  version: Type.Optional(Type.Unsafe<unknown>({})),
  listeners: Type.Array(
    strict({
      name: Type.String({ minLength: 1 }),
      protocol: Type.Optional(Type.String()),
      address: Type.Optional(Type.String()),
      socket: Type.Optional(Type.String()),
      debug: Type.Optional(Type.Boolean()),
      caCertFiles: Type.Optional(Type.Array(Type.String())),
    }),
  ),
  handlers: Type.Array(
    strict({
      name: Type.String({ minLength: 1 }),
      listener: Type.String(),
      type: Type.Optional(Type.String()),
      debug: Type.Optional(Type.Boolean()),
      match: Type.Optional(Type.Array(Type.String())),
      credentials: Type.Optional(
        Type.Array(
          strict({
            name: Type.String({ minLength: 1 }),
            provider: Type.String(),
            id: Type.Unsafe<string>({ type: ['string', 'number', 'boolean', 'null'] }),
          }),
        ),
      ),
    }),
  ),
});

export type Document = Static<ReturnType<typeof grammar>>;
export type Service = NonNullable<Document['services']>[string];
