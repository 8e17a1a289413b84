import { Type } from '../schema.ts';
import { names, strict } from './schema-parts.ts';

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

export const rule = strict({
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
  deliver: Type.Optional(
    Type.Array(Type.Union([Type.Literal('inject'), Type.Literal('value')]), {
      minItems: 1,
      uniqueItems: true,
      description: 'How the credential gets to the agent: put on what passes, or handed over. Allow: default inject',
    }),
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
