import { type Static, Type } from 'secretless-sidecar/connector';

const Size = Type.String({ pattern: '^[0-9]+(KiB|MiB|GiB)$', examples: ['16MiB'] });

const Agent = Type.Object(
  {
    accessKeyId: Type.String({
      pattern: '^[A-Za-z0-9]{16,128}$',
      description: 'Made up: says which agent asks. Not that of a real key',
    }),
    secretAccessKey: Type.String({
      minLength: 16,
      maxLength: 256,
      pattern: '^[!-~]+$',
      description: 'Made up: proves to the sidecar that this agent asks, and opens nothing else',
    }),
  },
  { additionalProperties: false },
);

export const Config = Type.Object(
  {
    service: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$',
        description: 'Signing name of the `target`; default what the client signs for',
        examples: ['s3'],
      }),
    ),
    region: Type.Optional(
      Type.String({
        pattern: '^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$',
        description: 'Region to sign for; default what the client signs for',
        examples: ['eu-central-1'],
      }),
    ),
    agents: Type.Optional(
      Type.Unsafe<Readonly<Record<string, Static<typeof Agent>>>>({
        type: 'object',
        additionalProperties: Agent,
        minProperties: 1,
        description: 'Keys of agents that share this listener, by name of the agent; default the one well-known key',
      }),
    ),
    foreign: Type.Optional(
      Type.Union([Type.Literal('deny'), Type.Literal('pass'), Type.Literal('sign')], {
        description:
          'Requests signed with another key: refused (default), passed untouched, or signed for whoever the listener belongs to',
      }),
    ),
    unsigned: Type.Optional(
      Type.Union([Type.Literal('deny'), Type.Literal('pass'), Type.Literal('sign')], {
        description: 'Requests without a signature: refused (default), passed as they are, or signed',
      }),
    ),
    chunked: Type.Optional(
      Type.Union([Type.Literal('resign'), Type.Literal('unsigned')], {
        description: 'Bodies signed chunk by chunk: signed anew (default), or sent plain as UNSIGNED-PAYLOAD',
      }),
    ),
    trailers: Type.Optional(
      Type.Union([Type.Literal('pass'), Type.Literal('strip')], {
        description: 'Checksums behind the body: passed on (default), or verified here and left out',
      }),
    ),
    bodyMemory: Type.Optional(
      Type.Unsafe<string>({
        ...Size,
        description: 'Of a body to hash before it is sent, held in memory; default 1MiB',
      }),
    ),
    bodyDisk: Type.Optional(
      Type.Unsafe<string>({
        ...Size,
        description: 'Of a body to hash before it is sent, held in an unlinked file; default 256MiB',
      }),
    ),
  },
  { additionalProperties: false },
);
export type Config = Static<typeof Config>;

/** The key that an agent uses where `agents` names none: known to everybody, so it proves nothing but good will. */
export const WELL_KNOWN_KEY = {
  accessKeyId: 'SECRETLESSSIDECAR',
  secretAccessKey: 'secretless-sidecar-has-the-real-key',
} as const;

const UNITS: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** Bytes of a size as `Config` takes it. */
export function bytesOf(size: string): number {
  const digits = Number.parseInt(size, 10);
  return digits * UNITS[size.slice(String(digits).length)]!;
}
