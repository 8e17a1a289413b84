import { Agent, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createProxyServer } from 'http-proxy-3';

/** The peer that the bars name: http-proxy-3 as its first example shows it. Second word `agent`: with kept connections. */
const [port, withAgent] = process.argv.slice(2);
const target = `http://127.0.0.1:${port}`;
const proxy = createProxyServer(withAgent === 'agent' ? { target, agent: new Agent({ keepAlive: true }) } : { target });
proxy.on('error', (_error, _request, response) => response.destroy());

const server = createServer((request, response) => void proxy.web(request, response));
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () =>
  process.send!({ port: (server.address() as AddressInfo).port }),
);
process.on('disconnect', () => process.exit());
