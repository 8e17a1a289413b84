import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answer } from './answers.ts';

/** The upstream, a process of its own. */
const token = process.env['BENCH_TOKEN'] ?? '';
const server = createServer((request, response) => answer(request, response, token));

server.keepAliveTimeout = 120_000;
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () =>
  process.send!({ port: (server.address() as AddressInfo).port }),
);
process.on('disconnect', () => process.exit());
