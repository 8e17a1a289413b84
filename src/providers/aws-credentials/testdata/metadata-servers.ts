import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Tiny stand-ins for the services that hand credentials to programs on AWS, speaking as their manuals say. */

export interface Handed {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly token: string;
  readonly expiration: string;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface MetadataServer {
  readonly origin: string;
  /** Method and path of each request. */
  readonly requests: string[];
  close(): Promise<void>;
}

/** The endpoint of ECS and of EKS Pod Identity: one GET, authorised by a token that may change at any time. */
export function serveContainer(authorization: () => string, handed: () => Handed): Promise<MetadataServer> {
  return serve((request) => {
    if (request.method !== 'GET' || request.url !== '/v1/credentials') return { status: 404, body: '{}' };
    if (request.headers.authorization !== authorization()) return { status: 401, body: '{"Code":"AccessDenied"}' };
    return { status: 200, body: JSON.stringify(inPascalCase(handed())) };
  });
}

const SESSION = 'imds-session-token';

/** Version 2 of the instance metadata service: a PUT for a session, and GETs that show it. */
export function serveInstance(handed: () => Handed, versions: readonly (1 | 2)[] = [1, 2]): Promise<MetadataServer> {
  return serve((request) => {
    const { method, url, headers } = request;
    if (method === 'PUT' && url === '/latest/api/token') {
      const asked = headers['x-aws-ec2-metadata-token-ttl-seconds'] !== undefined;
      return versions.includes(2) && asked ? { status: 200, body: SESSION } : { status: 404, body: '' };
    }
    const proven = headers['x-aws-ec2-metadata-token'] === SESSION;
    if (!proven && !versions.includes(1)) return { status: 401, body: '' };
    if (url === '/latest/meta-data/iam/security-credentials/') return { status: 200, body: 'instance-role\n' };
    if (url !== '/latest/meta-data/iam/security-credentials/instance-role') return { status: 404, body: '' };
    const document = { Code: 'Success', Type: 'AWS-HMAC', ...inPascalCase(handed()) };
    return { status: 200, body: JSON.stringify(document) };
  });
}

function inPascalCase({ accessKeyId, secretAccessKey, token, expiration }: Handed): object {
  return { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, Token: token, Expiration: expiration };
}

async function serve(answer: (request: IncomingMessage) => Answer): Promise<MetadataServer> {
  const requests: string[] = [];
  const server: Server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const { status, body } = answer(request);
    response.writeHead(status).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, close };
}
