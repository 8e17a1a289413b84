import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { request as openTunnel, type IncomingMessage } from 'node:http';
import { request as openSecure } from 'node:https';
import type { Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import type { Outcome } from './agent.ts';
import { openCall, overSocket } from './grpc-call.ts';
import { medianMs } from './median.ts';

/** What an agent does with the URL of an API: nothing on the way is its concern, `secretless run` set its environment. */
export interface EgressErrand {
  readonly row: string;
  readonly egress: {
    readonly client: 'curl' | 'fetch' | 'https' | 'grpc' | 'tunnel';
    readonly url: string;
  };
}

const OUTPUT_BYTES_MAX = 64 * 1024;

export async function callOut({ row, egress: { client, url } }: EgressErrand): Promise<Outcome> {
  try {
    switch (client) {
      case 'curl':
        return await runCurl(row, url);
      case 'fetch':
        return await fetchMany(row, url);
      case 'https':
        return await showCertificate(row, url);
      case 'grpc':
        return await exchangeMessages(row, new URL(url));
      case 'tunnel':
        return await askForTunnel(row, new URL(url));
      default:
        return client satisfies never;
    }
  } catch (error) {
    return { row, status: 'failed', arrivals: [], body: (error as Error).message, ms: 0 };
  }
}

function runCurl(row: string, url: string): Promise<Outcome> {
  const words = ['--silent', '--show-error', '--max-time', '20', '--write-out', '%{http_code}'];
  return new Promise((resolve) => {
    execFile(
      'curl',
      [...words, '--header', `X-Demo: ${row}`, url],
      { maxBuffer: OUTPUT_BYTES_MAX },
      (_error, stdout, stderr) => {
        const status = Number(stdout.slice(-3)) || 'failed';
        resolve({ row, status, arrivals: [], body: `${stdout.slice(0, -3)}${stderr}`, ms: 0 });
      },
    );
  });
}

async function fetchMany(row: string, url: string): Promise<Outcome> {
  const answer = await fetch(url, { headers: { 'x-demo': row } });
  const body = await answer.text();
  const ms = await medianMs(async () => (await fetch(url)).text());
  return { row, status: answer.status, arrivals: [], body, ms };
}

/** The body is the SHA-256 of the certificate that was shown. */
function showCertificate(row: string, url: string): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const request = openSecure(url, { headers: { 'x-demo': row } }, (response) => {
      const body = (response.socket as TLSSocket).getPeerX509Certificate()?.fingerprint256 ?? '';
      response.resume();
      response.on('end', () => resolve({ row, status: response.statusCode!, arrivals: [], body, ms: 0 }));
    });
    request.on('error', reject);
    request.end();
  });
}

/** The status is that of gRPC, from the trailers. */
async function exchangeMessages(row: string, { hostname, host }: URL): Promise<Outcome> {
  const { status: opened, socket } = await tunnel(host);
  if (opened !== 200) return { row, status: opened, arrivals: [], body: '', ms: 0 };
  const tls = connect({ socket, servername: hostname, ALPNProtocols: ['h2'] });
  await once(tls, 'secureConnect');
  const session = overSocket(host, tls);
  const call = openCall(session, { 'x-demo': row });
  const body = await call.exchange('a message');
  const ms = await medianMs(() => call.exchange('another'));
  const status = Number(await call.end());
  session.destroy();
  return { row, status, arrivals: [], body, ms };
}

async function askForTunnel(row: string, { host, port }: URL): Promise<Outcome> {
  const { status, body, socket } = await tunnel(port === '' ? `${host}:443` : host);
  socket.destroy();
  return { row, status, arrivals: [], body, ms: 0 };
}

interface Tunnel {
  readonly status: number;
  readonly socket: Socket;
  /** Of an answer that says no. */
  readonly body: string;
}

/** As every client of a proxy does it (RFC 9110 section 9.3.6). */
function tunnel(authority: string): Promise<Tunnel> {
  const { hostname, port } = new URL(process.env['HTTPS_PROXY']!);
  return new Promise((resolve, reject) => {
    const headers = { host: authority };
    const request = openTunnel({ host: hostname, port, method: 'CONNECT', path: authority, headers, agent: false });
    request.on('connect', ({ statusCode }: IncomingMessage, socket: Socket, head: Buffer) => {
      if (statusCode === 200) resolve({ status: statusCode, socket, body: '' });
      else void restOf(socket, head).then((body) => resolve({ status: statusCode!, socket, body }), reject);
    });
    request.on('error', reject);
    request.end();
  });
}

async function restOf(socket: Socket, head: Buffer): Promise<string> {
  const parts = [head];
  for await (const part of socket as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts).toString();
}
