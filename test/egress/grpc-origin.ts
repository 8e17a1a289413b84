import {
  Server,
  ServerCredentials,
  status,
  type Metadata,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
} from '@grpc/grpc-js';
import type { Identity } from '../../src/certificate/certificate.ts';
import { issueServerIdentity } from '../../src/certificate/server.ts';
import type { Origin, Seen } from './origins.ts';

const bytes = (value: Buffer): Buffer => value;
const method = (path: string, stream: boolean) => ({
  path,
  requestStream: stream,
  responseStream: stream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
const PROBE = { unary: method('/probe.Probe/Unary', false), echo: method('/probe.Probe/Echo', true) };

/** A gRPC server over TLS that echoes, and calls those UNAUTHENTICATED who have no credential. */
export async function startGrpcOrigin(issuer: Identity, host: string, credential: string): Promise<Origin> {
  const { certificate, key } = await issueServerIdentity(issuer, [host]);
  const seen: Seen[] = [];
  const admits = (metadata: Metadata, path: string): boolean => {
    const credentials = metadata.get('authorization').map(String);
    seen.push({ method: 'POST', path, version: '2.0', credentials, rawHeaders: [] });
    return credentials.length === 1 && credentials[0] === credential;
  };
  const refusal = { code: status.UNAUTHENTICATED, details: 'who are you?' };
  const server = new Server();
  server.addService(PROBE, {
    unary: ({ metadata, request }: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) =>
      admits(metadata, PROBE.unary.path) ? callback(null, request) : callback(refusal),
    echo: (call: ServerDuplexStream<Buffer, Buffer>) => {
      if (!admits(call.metadata, PROBE.echo.path)) return void call.emit('error', refusal);
      call.on('data', (chunk: Buffer) => call.write(chunk));
      call.on('end', () => call.end());
    },
  });
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) };
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createSsl(null, [pair]), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { port, seen, dialled: () => 0, close: () => server.forceShutdown() };
}
