import { Type } from '../schema.ts';
import type { Static, TObject, TProperties, TSchema } from '../schema.ts';
import { DURATION_PATTERN, SIZE_PATTERN } from '../units.ts';

/**
 * The grammar, once. `canonical` is what validation sees after the short forms were written out (a list for every
 * `listenOn`, `{from, get}` for every credential); `written` is what people and editors see, short forms included.
 */
export type View = 'canonical' | 'written';

/** The words of the catalog that the written view offers in an editor. */
export interface Words {
  readonly connectors: readonly string[];
  readonly providers: readonly string[];
}

function strict<Properties extends TProperties>(properties: Properties, description?: string): TObject<Properties> {
  return Type.Object(properties, {
    additionalProperties: false,
    ...(description === undefined ? {} : { description }),
  });
}

function mapOf<Schema extends TSchema>(schema: Schema, options: object = {}) {
  return Type.Unsafe<Record<string, Static<Schema>>>({ type: 'object', additionalProperties: schema, ...options });
}

/** In the written view the short forms stand beside the canonical one. */
function orShort<Schema extends TSchema>(view: View, canonical: Schema, ...short: TSchema[]): Schema {
  return view === 'canonical' ? canonical : (Type.Union([canonical, ...short]) as TSchema as Schema);
}

/** A text that editors complete from `words`, any other text allowed where `open`. */
function word(view: View, words: readonly string[], open: boolean, description: string) {
  if (view === 'canonical' || words.length === 0) return Type.String({ description });
  const closed = { type: 'string', enum: [...words] };
  return Type.Unsafe<string>({ description, ...(open ? { anyOf: [closed, { type: 'string' }] } : closed) });
}

function duration(description: string) {
  return Type.String({ pattern: DURATION_PATTERN, description, examples: ['5s', '500ms', '5m'] });
}

function size(description: string) {
  return Type.Unsafe<string | number>({
    type: ['string', 'integer'],
    pattern: SIZE_PATTERN,
    minimum: 0,
    description,
    examples: ['32KiB', '50MiB'],
  });
}

function names(description: string, examples: readonly string[]) {
  return Type.Array(Type.String({ minLength: 1 }), { minItems: 1, description, examples: [[...examples]] });
}

const SCALARS = [Type.Number(), Type.Boolean(), Type.Null()] as const;

function credential(view: View, words: Words) {
  const get = 'What to fetch: the provider says how it is written';
  return strict(
    {
      from: word(view, words.providers, true, 'Provider, or a name from top-level `providers`'),
      get: orShort(view, Type.String({ description: get }), ...SCALARS),
    },
    'Where the credential comes from; a plain text is the credential itself',
  );
}

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

/** The canonical view lets an empty list through: which services need no address is not for a schema to say. */
function listenOn(view: View) {
  return Type.Array(Type.String({ minLength: 1 }), {
    ...(view === 'canonical' ? {} : { minItems: 1 }),
    description: 'Addresses accepted on',
    examples: [['tcp://127.0.0.1:8080']],
  });
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
    socketMode: Type.Optional(
      orShort(
        view,
        Type.String({ pattern: '^0?[0-7]{3}$', description: 'Mode of its Unix sockets, octal', examples: ['0600'] }),
        Type.Integer(),
      ),
    ),
  });
}

function covered(description: string) {
  return Type.Optional(Type.Boolean({ description }));
}

const ssh = Type.Object(
  {
    users: Type.Optional(names('Who it is upstream, `*` for any run of characters', ['git'])),
    commands: Type.Optional(
      names('Whole commands; `*`: any run of letters, digits, blanks and `_@%+=:,./-`, `**`: anything', ['uptime']),
    ),
    git: Type.Optional(
      Type.Object(
        {
          repos: Type.Optional(names('Repositories, `*` within a segment, `**` over slashes', ['acme/*'])),
          push: covered('Pushes alone, or all but pushes'),
        },
        { additionalProperties: false, minProperties: 1, description: 'Commands of git' },
      ),
    ),
    shell: covered('Shells'),
    pty: covered('Terminals; where it is not written they go with shells'),
    subsystems: Type.Optional(names('Names of subsystems, `*` for any run of characters', ['sftp'])),
    forwards: Type.Optional(names('`host:port` or paths of sockets, `*` as in names', ['db.internal:5432'])),
    listens: Type.Optional(names('Likewise, where the upstream is to listen', ['localhost:8080'])),
    agentForwarding: covered('Agent forwarding, and signatures that are asked for through it'),
    x11Forwarding: covered('X11 forwarding'),
    hostKeys: Type.Optional(
      names('Signatures for logins to these hosts: fingerprints, or `*`', [
        'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU',
      ]),
    ),
    namespaces: Type.Optional(names('Signatures of documents, by namespace, `*` as above', ['git'])),
  },
  { additionalProperties: false, minProperties: 1, description: 'What is asked for over SSH, or of an agent' },
);

const rule = strict({
  id: Type.String({ minLength: 1, maxLength: 128, description: 'Unique; named in every refusal and in the ledger' }),
  effect: Type.Union([Type.Literal('allow'), Type.Literal('deny')]),
  agents: Type.Optional(names('Names, `*` for any run of characters', ['reviewer'])),
  services: Type.Optional(names('Names, `*` for any run of characters', ['github'])),
  methods: Type.Optional(names('HTTP methods, case-sensitive', ['GET'])),
  paths: Type.Optional(names('`*` within a segment, `**` for any number of segments', ['/repos/acme/**'])),
  hosts: Type.Optional(names('A name, an IP address, or `*.` and a name', ['api.example.com'])),
  databases: Type.Optional(
    names('Databases that logins are for, `*` for any run of characters', ['orders', 'orders_*']),
  ),
  applications: Type.Optional(names('What programs that log in call themselves, `*` as above', ['psql'])),
  replication: Type.Optional(Type.Boolean({ description: 'Logins that ask for a replication stream, or that do not' })),
  aws: Type.Optional(
    Type.Object(
      {
        services: Type.Optional(names('Signing names, `*` for any run of characters', ['s3', 'dynamodb'])),
        regions: Type.Optional(names('Regions, `*` as above', ['eu-central-1', 'eu-*'])),
        actions: Type.Optional(names('Operations, case-sensitive, `*` as above', ['GetObject', 'List*'])),
        buckets: Type.Optional(names('Buckets of S3, `*` as above', ['reports'])),
        keys: Type.Optional(names('Keys of objects, decoded; `*` goes over slashes', ['2026/*'])),
      },
      { additionalProperties: false, minProperties: 1, description: 'Requests to Amazon Web Services' },
    ),
  ),
  ssh: Type.Optional(ssh),
  returnsCredentials: Type.Optional(
    Type.Boolean({ description: 'Allow: answers that hold a credential too. Deny: those alone, and never false' }),
  ),
  time: Type.Optional(
    strict({
      from: Type.Optional(Type.String({ pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$', examples: ['09:00'] })),
      to: Type.Optional(Type.String({ pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$', examples: ['18:00'] })),
      zone: Type.Optional(Type.String({ description: 'IANA time zone; default UTC', examples: ['Europe/Zurich'] })),
      days: Type.Optional(
        Type.Array(
          Type.Union((['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const).map((day) => Type.Literal(day))),
          { minItems: 1, uniqueItems: true, description: 'Days the window begins on' },
        ),
      ),
    }),
  ),
  rate: Type.Optional(strict({ perMinute: Type.Integer({ minimum: 1, maximum: 1_000_000 }) })),
});

/** The version 2 grammar with services as a map, and what is ours on top. */
export function grammar(view: View, words: Words = { connectors: [], providers: [] }) {
  return strict({
    version: orShort(view, Type.Literal('2'), Type.Literal(2)),
    services: mapOf(service(view, words), { minProperties: 1, description: 'Services by name' }),
    providers: Type.Optional(
      mapOf(
        Type.Object(
          { type: word(view, words.providers, false, 'Kind of provider') },
          { additionalProperties: true, description: 'A provider with its options' },
        ),
        { description: 'Named stores; the plain provider names exist besides' },
      ),
    ),
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
export type Service = Document['services'][string];
