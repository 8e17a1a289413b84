import { Type } from '../src/schema.ts';

/**
 * The part of the Compose specification that the examples use, and nothing else: a key that is not here is a slip of the
 * pen until it is added (https://github.com/compose-spec/compose-spec/blob/main/spec.md).
 */

const strict = { additionalProperties: false } as const;
const texts = Type.Array(Type.String({ minLength: 1 }), { minItems: 1, uniqueItems: true });
const duration = Type.String({ pattern: '^(\\d+(ms|s|m|h))+$' });

const healthcheck = Type.Object(
  {
    test: Type.Optional(Type.Array(Type.String(), { minItems: 2 })),
    interval: Type.Optional(duration),
    timeout: Type.Optional(duration),
    retries: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  strict,
);

const dependency = Type.Object({ condition: Type.Literal('service_healthy') }, strict);
const attachment = Type.Object({ ipv4_address: Type.Optional(Type.String()) }, strict);

const service = Type.Object(
  {
    image: Type.String({ pattern: '^[a-z0-9./-]+:[\\w.-]+$' }),
    user: Type.Optional(Type.String({ pattern: '^[1-9]\\d*:[1-9]\\d*$' })),
    command: Type.Optional(texts),
    environment: Type.Optional(Type.Record(Type.String(), Type.String())),
    volumes: Type.Optional(texts),
    tmpfs: Type.Optional(texts),
    secrets: Type.Optional(texts),
    networks: Type.Optional(
      Type.Union([texts, Type.Unsafe<object>({ type: 'object', additionalProperties: attachment })]),
    ),
    network_mode: Type.Optional(Type.String({ pattern: '^service:[a-z]+$' })),
    depends_on: Type.Optional(Type.Unsafe<object>({ type: 'object', additionalProperties: dependency })),
    healthcheck: Type.Optional(healthcheck),
    stop_grace_period: Type.Optional(duration),
    read_only: Type.Boolean(),
    cap_drop: texts,
    security_opt: texts,
  },
  strict,
);

const network = Type.Object(
  {
    internal: Type.Optional(Type.Boolean()),
    ipam: Type.Optional(
      Type.Object({ config: Type.Array(Type.Object({ subnet: Type.String() }, strict), { minItems: 1 }) }, strict),
    ),
  },
  strict,
);

function named(schema: object): object {
  return { type: 'object', minProperties: 1, propertyNames: { pattern: '^[a-z-]+$' }, additionalProperties: schema };
}

export const COMPOSE_SCHEMA = {
  type: 'object',
  required: ['services', 'networks', 'volumes', 'secrets'],
  properties: {
    services: named(service),
    networks: named(network),
    volumes: named(Type.Object({}, strict)),
    secrets: named(Type.Object({ file: Type.String({ pattern: '^\\./secrets/[a-z-]+$' }) }, strict)),
  },
  patternProperties: { '^x-': {} },
  additionalProperties: false,
};
