import { request as open, type IncomingMessage, type RequestOptions } from 'node:http';
import { callAws, type AwsErrand } from './aws-agent.ts';
import { queryOnce, type DatabaseErrand } from './database-agent.ts';
import { callOut, type EgressErrand } from './egress-agent.ts';
import { runGit, type GitErrand } from './git-agent.ts';

/**
 * The agent of the demo: a process of its own that knows addresses and holds nothing; its environment is empty, or the
 * one of `secretless run`. `secretless demo agent` reads its errands as JSON from the command line and prints what became of them as JSON.
 */

export type Errand = HttpErrand | DatabaseErrand | AwsErrand | GitErrand | EgressErrand;

export interface HttpErrand {
  readonly row: string;
  /** `http://host:port` or `unix:/path` of the listener, or the upstream itself. */
  readonly connect: string;
  readonly method: string;
  /** Request target: a path, or a whole URL towards a forward proxy. */
  readonly target: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly websocket?: boolean;
}

export interface Outcome {
  readonly row: string;
  /** HTTP status, `grpc-status`, SQLSTATE, or exit code. */
  readonly status: number | string;
  /** Times at which pieces of the body arrived, in milliseconds since the head. */
  readonly arrivals: readonly number[];
  readonly body: string;
  /** Median of `ROUNDS` requests, in milliseconds; 0: not measured. */
  readonly ms: number;
}

const ROUNDS = 40;

export interface Report {
  /** What it could read there, for the demo to look through. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly outcomes: readonly Outcome[];
}

/** Runs errands that are written as JSON; the report is JSON as well. */
export async function runErrands(text: string): Promise<string> {
  return JSON.stringify(await run(JSON.parse(text) as Errand[]));
}

async function run(errands: readonly Errand[]): Promise<Report> {
  const outcomes: Outcome[] = [];
  for (const errand of errands) outcomes.push(await act(errand));
  return { environment: process.env, outcomes };
}

function act(errand: Errand): Promise<Outcome> {
  if ('postgres' in errand) return queryOnce(errand);
  if ('aws' in errand) return callAws(errand);
  if ('git' in errand) return runGit(errand);
  if ('egress' in errand) return callOut(errand);
  return errand.websocket === true ? echo(errand) : fetchOnce(errand);
}

async function fetchOnce(errand: HttpErrand): Promise<Outcome> {
  const first = await send(errand, { 'X-Demo': errand.row });
  const times: number[] = [];
  const once = errand.target.includes('/events') || Number(first.status) >= 500;
  for (let round = 0; round < (once ? 0 : ROUNDS); round += 1) {
    const begun = performance.now();
    await send(errand, {});
    times.push(performance.now() - begun);
  }
  times.sort((a, b) => a - b);
  return { ...first, ms: times[Math.floor(times.length / 2)] ?? 0 };
}

function optionsOf(
  { connect, method, target, host, headers }: HttpErrand,
  more: Record<string, string>,
): RequestOptions {
  const where = connect.startsWith('unix:') ? { socketPath: connect.slice(5) } : addressOf(connect);
  return { ...where, method, path: target, headers: { ...headers, ...more, Host: host }, agent: false };
}

function addressOf(connect: string): { host: string; port: string } {
  const { hostname, port } = new URL(connect);
  return { host: hostname, port };
}

function send(errand: HttpErrand, more: Record<string, string>): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const request = open(optionsOf(errand, more), (response: IncomingMessage) => {
      const head = performance.now();
      const arrivals: number[] = [];
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => {
        arrivals.push(Math.round(performance.now() - head));
        body += piece;
      });
      response.on('end', () => resolve({ row: errand.row, status: response.statusCode!, arrivals, body, ms: 0 }));
    });
    request.on('error', reject);
    request.end();
  });
}

/** Upgrades and waits for its own bytes to come back. */
function echo(errand: HttpErrand): Promise<Outcome> {
  const handshake = {
    'X-Demo': errand.row,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'Sec-WebSocket-Version': '13',
  };
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const request = open(optionsOf(errand, handshake));
    request.on('upgrade', (response, socket) => {
      socket.write('ping');
      socket.once('data', (bytes: Buffer) => {
        socket.destroy();
        const ms = performance.now() - begun;
        resolve({ row: errand.row, status: response.statusCode!, arrivals: [], body: bytes.toString(), ms });
      });
    });
    request.on('response', (response) => {
      response.resume();
      resolve({ row: errand.row, status: response.statusCode!, arrivals: [], body: '', ms: 0 });
    });
    request.on('error', reject);
    request.end();
  });
}
