import type { EgressErrand } from './egress-agent.ts';
import type { Row } from './rows.ts';
import { GUARDED_HOST, OPEN_HOST, type TlsUpstream } from './tls-upstream.ts';

export interface EgressParts {
  /** Whether this machine has curl. */
  readonly curl: boolean;
  readonly upstream: Pick<TlsUpstream, 'port' | 'fingerprint'>;
}

type EgressRow = Row & { readonly errand: EgressErrand };

/** What begins with https:// and knows of no sidecar; all of it runs under `secretless run`. */
export function egressRows({ curl, upstream: { port, fingerprint } }: EgressParts): EgressRow[] {
  const errand = (client: EgressErrand['egress']['client'], host: string, path: string): EgressErrand => ({
    row: '',
    egress: { client, url: `https://${host}:${port}${path}` },
  });
  const rows: EgressRow[] = [
    {
      service: 'api',
      errand: errand('curl', GUARDED_HOST, '/v1/items'),
      sent: 'no credential',
      status: 200,
      saw: /^Bearer token/,
    },
    {
      service: 'api',
      errand: errand('fetch', GUARDED_HOST, '/v1/items'),
      sent: 'no credential',
      status: 200,
      saw: /^Bearer token/,
    },
    {
      service: 'api',
      errand: errand('grpc', GUARDED_HOST, '/demo.Notes/Exchange'),
      sent: 'no credential',
      status: 0,
      saw: /^Bearer token/,
      check: ({ body }) => body === 'a message',
    },
    {
      service: '(allowed)',
      errand: errand('https', OPEN_HOST, '/'),
      sent: 'untouched',
      status: 200,
      saw: /^none$/,
      // The agent was shown the upstream's own certificate: nobody opened what passed.
      check: ({ body }) => body === fingerprint,
    },
    {
      service: '(none)',
      errand: errand('tunnel', 'other.demo.test', '/'),
      sent: 'which nothing allows',
      status: 403,
      saw: undefined,
      check: ({ body }) => body.includes('"code":"no-service"'),
    },
  ];
  return rows.filter(({ errand: { egress } }) => curl || egress.client !== 'curl');
}
