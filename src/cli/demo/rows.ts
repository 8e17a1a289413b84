import type { SidecarStatus } from '../../sidecar/state.ts';
import type { Errand, HttpErrand, Outcome } from './agent.ts';
import { NOTE, type AwsErrand } from './aws-agent.ts';
import { egressRows, type EgressParts } from './egress-rows.ts';
import type { GitErrand } from './git-agent.ts';
import { REPOSITORY } from './git-upstream.ts';
import type { Seen } from './upstream.ts';

/** Exit code of git where the far side hung up. */
const GIT_FAILED = 128;

/** One line of the demo's table: what the agent does and what must come of it. */
export interface Row {
  readonly service: string;
  readonly errand: Errand;
  /** What the agent put on the request, in words. */
  readonly sent: string;
  readonly status: number | string;
  /** What the upstream must have accepted; undefined: nothing may have arrived there. */
  readonly saw: RegExp | undefined;
  check?(outcome: Outcome): boolean;
}

/** What this machine has for the demo. */
export interface DemoParts {
  readonly database: boolean;
  readonly s3Client: boolean;
  readonly egress: EgressParts;
  /** How the agent runs git; undefined where it cannot. */
  readonly git: Pick<GitErrand['git'], 'folder' | 'programs' | 'sshConfig'> | undefined;
}

/** The rows, for the addresses that the sidecar listens on. Later connectors add theirs here. */
export function demoRows(status: SidecarStatus, upstreamPort: number, has: DemoParts): Row[] {
  const errands = errandsFor(status, upstreamPort);
  const rows = [...lentRows(errands), ...streamedRows(errands), ...refusedRows(errands)];
  rows.push(...awsRows(errands).filter(({ errand }) => has.s3Client || errand.aws.call === 'PutItem'));
  rows.push(...egressRows(has.egress));
  if (has.database) rows.push(...databaseRows(errands));
  if (has.git !== undefined) rows.push(...gitRows(has.git));
  return rows.map((row, at) => ({ ...row, errand: { ...row.errand, row: String(at) } }));
}

interface Errands {
  readonly upstream: string;
  readonly errand: (service: string, method: string, target: string, headers?: Record<string, string>) => HttpErrand;
  /** Through the forward proxy. */
  readonly proxied: HttpErrand;
  readonly awsEndpoint: string;
  readonly databasePort: number;
}

function errandsFor(status: SidecarStatus, upstreamPort: number): Errands {
  const listener = (service: string): string => {
    const { address } = status.listeners.find(({ services }) => services.includes(service))!;
    return address.replace(/^tcp:/, 'http:').replace(/^unix:\/\//, 'unix:');
  };
  const upstream = `127.0.0.1:${upstreamPort}`;
  const errand: Errands['errand'] = (service, method, target, headers = {}) => ({
    row: '',
    connect: listener(service),
    method,
    target,
    host: 'localhost',
    headers,
  });
  const proxied = { ...errand('oauth', 'GET', `http://${upstream}/v1/statuses?count=2`), host: upstream };
  const databasePort = Number(listener('orders').split(':').at(-1));
  return { upstream, errand, proxied, awsEndpoint: listener('aws'), databasePort };
}

/** Each way to lend a credential, beside a call that goes without. */
function lentRows({ errand, proxied, upstream }: Errands): Row[] {
  return [
    {
      service: '(direct)',
      errand: { ...errand('header', 'GET', '/v1/items'), connect: `http://${upstream}`, host: upstream },
      sent: 'no credential',
      status: 401,
      saw: /^none$/,
    },
    {
      service: 'header',
      errand: errand('header', 'GET', '/v1/items'),
      sent: 'no credential',
      status: 200,
      saw: /^Bearer token \(\d+ /,
    },
    {
      service: 'header',
      errand: errand('header', 'GET', '/v1/items', { Authorization: 'Bearer made-up', AUTHORIZATION_: 'x' }),
      sent: 'a made-up Authorization',
      status: 200,
      saw: /^Bearer token/,
    },
    {
      service: 'basic',
      errand: errand('basic', 'GET', '/v1/items'),
      sent: 'no credential',
      status: 200,
      saw: /^Basic demo-user/,
    },
    { service: 'query', errand: errand('query', 'GET', '/tiles?zoom=3'), sent: 'no key', status: 200, saw: /^\?key=/ },
    { service: 'oauth', errand: proxied, sent: 'http_proxy, no signature', status: 200, saw: /^OAuth 1\.0a/ },
  ];
}

/** What is not over with one answer. */
function streamedRows({ errand }: Errands): Row[] {
  return [
    {
      service: 'header',
      errand: errand('header', 'GET', '/v1/events'),
      sent: 'no credential, event stream',
      status: 200,
      saw: /^Bearer token/,
      // Three events 100 ms apart: they arrive as they are sent, not together at the end.
      check: ({ arrivals }) => arrivals.length > 1 && arrivals.at(-1)! - arrivals[0]! > 50,
    },
    {
      service: 'header',
      errand: { ...errand('header', 'GET', '/v1/socket'), websocket: true },
      sent: 'no credential, websocket',
      status: 101,
      saw: /^Bearer token/,
      check: ({ body }) => body === 'ping',
    },
  ];
}

/** What must not reach the upstream. */
function refusedRows({ errand, proxied }: Errands): Row[] {
  return [
    {
      service: 'header',
      errand: errand('header', 'DELETE', '/v1/items/1'),
      sent: 'a DELETE, which a rule denies',
      status: 403,
      saw: undefined,
      check: ({ body }) => body.includes('"rule":"no-deletes"'),
    },
    {
      service: 'oauth',
      errand: { ...proxied, target: 'http://127.0.0.1.example.org/', host: '127.0.0.1.example.org' },
      sent: 'a look-alike host',
      status: 403,
      saw: undefined,
      check: ({ body }) => body.includes('"code":"no-service"'),
    },
  ];
}

/** Requests that the agent signs with a key that opens nothing, and the sidecar signs anew. */
function awsRows({ awsEndpoint: endpoint }: Errands): (Row & { readonly errand: AwsErrand })[] {
  return [
    {
      service: 'aws',
      errand: { row: '', aws: { endpoint, call: 'PutObject, GetObject' } },
      sent: 'AWS SDK, a made-up key',
      status: 200,
      saw: /^SigV4 of the real key \(s3\)$/,
      check: ({ body }) => body === NOTE,
    },
    {
      service: 'aws',
      errand: { row: '', aws: { endpoint, call: 'PutItem' } },
      sent: 'DynamoDB by hand, a made-up key',
      status: 200,
      saw: /^SigV4 of the real key \(dynamodb\)$/,
    },
  ];
}

/** A login over a wire protocol, which ends with a byte stream. */
function databaseRows({ databasePort }: Errands): Row[] {
  return [
    {
      service: 'orders',
      errand: { row: '', postgres: { port: databasePort, database: 'postgres' } },
      sent: 'no password',
      status: '00000',
      saw: /^scram-sha-256:postgres over TLS/,
    },
    {
      service: 'orders',
      errand: { row: '', postgres: { port: databasePort, database: 'template1' } },
      sent: 'a database that a rule denies',
      status: '42501',
      saw: undefined,
      check: ({ body }) => body.includes('no-templates'),
    },
  ];
}

/** A protocol whose client is not ours: git, and ssh under it, with no key in reach. */
function gitRows(git: NonNullable<DemoParts['git']>): Row[] {
  const url = `ssh://git/${REPOSITORY}`;
  return [
    {
      service: 'git',
      errand: { row: '', git: { ...git, verb: 'clone', url } },
      sent: 'no key',
      status: 0,
      saw: /^publickey of git, upload-pack$/,
    },
    {
      service: 'git',
      errand: { row: '', git: { ...git, verb: 'push', url } },
      sent: 'which a rule denies',
      status: GIT_FAILED,
      saw: undefined,
      check: ({ body }) => body.includes('no-pushes'),
    },
  ];
}

/** What the row did, in words. */
export function deedOf({ errand }: Row): string {
  if ('egress' in errand) return `${errand.egress.client} ${errand.egress.url.replace(/:\d+/, '')}`;
  if ('git' in errand) return `git ${errand.git.verb} ${errand.git.url}`;
  if ('aws' in errand) return errand.aws.call;
  if ('postgres' in errand) return `psql :${errand.postgres.port}/${errand.postgres.database}`;
  return `${errand.method} ${errand.target.replace(/^http:\/\/[^/]*/, '')}`;
}

/** Whether a row came out as it must. */
export function isRight(row: Row, outcome: Outcome, seen: Pick<Seen, 'credential'> | undefined): boolean {
  if (outcome.status !== row.status || row.check?.(outcome) === false) return false;
  return row.saw === undefined ? seen === undefined : seen !== undefined && row.saw.test(seen.credential);
}
