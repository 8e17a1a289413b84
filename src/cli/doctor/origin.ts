import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { issueAuthority } from '../../certificate/authority.ts';
import { issueServerIdentity } from '../../certificate/server.ts';

/** Resolves nowhere (RFC 6761 section 6.2): who gets there was led. */
export const ORIGIN_HOST = 'origin.secretless.test';

/** An https origin on this machine that knows one credential, and speaks enough for each client to be content. */
export interface LocalOrigin {
  readonly port: number;
  /** PEM of the authority that signed its certificate. */
  readonly authority: string;
  /** `https://origin.secretless.test:port`. */
  readonly url: string;
  close(): void;
}

/** What a client prints that got through with the credential. */
export const SEEN = 'seen-with-the-credential';
/** Name of the package that registries have. */
export const PACKAGE = 'secretless-doctor';
const WHEEL = `${PACKAGE.replace('-', '_')}-1.0-py3-none-any.whl`;

export async function openOrigin(authorization: string): Promise<LocalOrigin> {
  const authority = await issueAuthority('secretless doctor');
  const { certificate, key } = await issueServerIdentity(authority, [ORIGIN_HOST]);
  const server = createServer({ cert: certificate, key }, (request, response) => {
    request.resume();
    if (request.headers.authorization !== authorization) return void response.writeHead(401).end();
    answer(request, response);
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    authority: authority.certificate,
    url: `https://${ORIGIN_HOST}:${port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function answer({ url = '/', headers }: IncomingMessage, response: ServerResponse): void {
  const path = url.replace(/\?.*$/, '');
  const [type, body] = BODIES[path] ?? ['text/plain', SEEN];
  response.setHeader('content-type', type);
  response.end(body.replaceAll('{origin}', `https://${headers.host ?? ''}`));
}

const COMMIT = '5ec7e71e55'.padEnd(40, '0');

const BODIES: Readonly<Record<string, readonly [type: string, body: string]>> = {
  // The dumb protocol of git: names and commits, one a line.
  [`/${SEEN}.git/info/refs`]: ['text/plain', `${COMMIT}\trefs/heads/${SEEN}\n`],
  [`/${SEEN}.git/HEAD`]: ['text/plain', `ref: refs/heads/${SEEN}\n`],
  // PEP 503.
  [`/simple/${PACKAGE}/`]: ['text/html', `<a href="{origin}/${WHEEL}">${WHEEL}</a>`],
  [`/${PACKAGE}`]: [
    'application/json',
    JSON.stringify({
      name: PACKAGE,
      'dist-tags': { latest: '1.0.0' },
      versions: { '1.0.0': { name: PACKAGE, version: '1.0.0', description: SEEN } },
    }),
  ],
  // The GOPROXY protocol: versions, one a line, and what one of them is.
  [`/${ORIGIN_HOST}/${PACKAGE}/@v/list`]: ['text/plain', 'v1.0.0\n'],
  [`/${ORIGIN_HOST}/${PACKAGE}/@v/v1.0.0.info`]: ['application/json', '{"Version":"v1.0.0"}'],
  [`/${ORIGIN_HOST}/${PACKAGE}/@v/v1.0.0.mod`]: ['text/plain', `module ${ORIGIN_HOST}/${PACKAGE}\n`],
  // Amazon S3, ListBuckets.
  '/s3/': [
    'application/xml',
    `<ListAllMyBucketsResult><Owner><ID>1</ID></Owner><Buckets><Bucket><Name>${SEEN}</Name><CreationDate>2020-01-01T00:00:00.000Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>`,
  ],
};
