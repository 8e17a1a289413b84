import { Type } from '../schema.ts';
import { credential, listenOn, mapOf, names, orShort, SCALARS, socketMode, strict } from './schema-parts.ts';
import type { View, Words } from './schema-parts.ts';

function secret(view: View, words: Words) {
  return orShort(view, credential(view, words), Type.String(), ...SCALARS);
}

function upstreamProxy(view: View, words: Words) {
  const url = Type.String({ description: 'A proxy on the way to upstreams', examples: ['http://proxy.internal:3128'] });
  const whole = strict({
    url,
    username: Type.Optional(secret(view, words)),
    password: Type.Optional(secret(view, words)),
    resolves: Type.Optional(
      Type.Boolean({ description: 'It looks up names, so that the addresses of names are not checked here' }),
    ),
  });
  return orShort(view, whole, url);
}

function addresses(description: string) {
  const blocks = Type.Array(Type.String({ minLength: 1 }), { minItems: 1, examples: [['10.20.0.0/16']] });
  return strict({ addresses: blocks }, description);
}

export function egress(view: View, words: Words) {
  const text = Type.String({ minLength: 1 });
  return strict(
    {
      listenOn: Type.Optional(orShort(view, listenOn(view), text)),
      mode: Type.Optional(
        Type.Union([Type.Literal('proxy'), Type.Literal('transparent')], {
          description: 'Clients name it as their proxy, or are led to it by the system',
        }),
      ),
      unmatched: Type.Optional(
        Type.Union([Type.Literal('deny'), Type.Literal('pass')], {
          description: 'Origins that have no service and are not in `allow`',
        }),
      ),
      allow: Type.Optional(names('Origins that pass untouched, without a credential', ['https://*.example.com'])),
      deny: Type.Optional(addresses('Where no name may lead, on top of the built-in set')),
      reach: Type.Optional(addresses('What is taken out of the set of addresses that no name may lead to')),
      resolve: Type.Optional(
        mapOf(text, { minProperties: 1, description: 'Addresses of names, asked instead of DNS and not checked' }),
      ),
      upstreamProxy: Type.Optional(upstreamProxy(view, words)),
      agent: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'Who it is that shows no token' })),
      ca: Type.Optional(
        strict({
          store: Type.Optional(
            Type.Union([Type.Literal('memory'), Type.Literal('folder')], {
              description: 'A new authority with each process, or one that is kept in the state folder',
            }),
          ),
          names: Type.Optional(names('Domains that it may issue certificates for, and below', ['example.com'])),
        }),
      ),
      socketMode: Type.Optional(socketMode(view)),
    },
    'Where clients reach services with a `target` and no `listenOn`, by the https:// URL of the upstream',
  );
}

export function agent(view: View, words: Words) {
  return Type.Object(
    { token: Type.Optional(secret(view, words)) },
    { additionalProperties: false, minProperties: 1, description: 'How the agent proves who it is' },
  );
}
