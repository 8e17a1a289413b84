import { expect, test } from 'vitest';
import {
  askHttp2,
  askHttp2On,
  askInside,
  askRaw,
  askSocks,
  failing,
  openTunnel,
  strayDials,
  watchWires,
  type Answer,
  type Field,
} from './egress-confusion-kit.ts';
import {
  CONNECT,
  CONNECT_HEADS,
  HOSTS,
  URIS,
  SEQUENCES,
  HEAD,
  but,
  HTTP2,
  SOCKS,
  NAMES,
  PLAIN,
  PATHS,
  type Case,
} from './egress-confusion-cases.ts';
import { service, startEgress, startOrigin } from './egress-core-kit.ts';

/**
 * Requests that name more than one origin, or one in a way that somebody reads otherwise. Three origins listen: the
 * service's own; one that policy knows nothing of, whose certificate would be good for every name; and its address is
 * that of every name here. What is refused must have been refused before a name was looked up or an address dialled.
 */

async function startSite(more = '') {
  const honest = await startOrigin(['api.test']);
  const evil = await startOrigin(['evil.test', 'api.test', 'open.test', 'localhost', '127.0.0.1']);
  const egress = await startEgress({
    services: service('api', `https://api.test:${honest.port}`),
    egress: `  resolve: { api.test: 127.0.0.1, evil.test: 127.0.0.1, open.test: 127.0.0.1 }\n${more}`,
  });
  const watch = watchWires();
  const authority = `api.test:${honest.port}`;
  const fill = (text: string): string =>
    text.replaceAll('{A}', authority).replaceAll('{H}', String(honest.port)).replaceAll('{E}', String(evil.port));
  /** Nothing got where it must not; `accepted` requests got where they should. */
  function verdict(accepted: number): void {
    expect(watch.lookups).toEqual([]);
    expect(strayDials(watch, egress, [honest.port])).toEqual([]);
    expect(evil.dialled()).toBe(0);
    expect(honest.requests.filter(({ headers }) => headers.host !== authority)).toEqual([]);
    expect(honest.requests.filter(({ headers }) => headers['x-api-key'] !== egress.token)).toHaveLength(0);
    expect(honest.requests).toHaveLength(accepted);
    const listed = egress.rig.events('decision').filter(({ result }) => result === 'allow');
    expect(listed).toHaveLength(accepted);
  }
  return { honest, evil, egress, authority, fill, verdict, tunnel: { ca: egress.ca, port: egress.port, authority } };
}

const begins = (answer: Answer, [, expected]: Case): boolean => answer.startsWith(expected);
const accepted = (cases: readonly Case[]): number =>
  cases.reduce((sum, [, answer]) => sum + (answer.match(/200/g)?.length ?? 0), 0);

test(`CONNECT: ${CONNECT.length} targets`, async () => {
  const { egress, fill, verdict } = await startSite();
  const ask = ([target]: Case): Promise<Answer> =>
    askRaw(egress.port, `CONNECT ${fill(target)} HTTP/1.1\r\nHost: ${fill(target)}\r\n\r\n`);
  expect(await failing(CONNECT, ask, begins)).toEqual([]);
  verdict(0);
});

test(`CONNECT: ${CONNECT_HEADS.length} heads`, async () => {
  const { egress, fill, verdict } = await startSite();
  const ask = ([head]: Case): Promise<Answer> => askRaw(egress.port, `${fill(head)}\r\n\r\n`);
  expect(await failing(CONNECT_HEADS, ask, begins)).toEqual([]);
  verdict(0);
});

test(`inside a tunnel: ${HOSTS.length} heads`, async () => {
  const { fill, verdict, tunnel } = await startSite();
  const ask = ([head]: Case): Promise<Answer> => askInside(tunnel, `${fill(head)}\r\nConnection: close\r\n\r\n`);
  expect(await failing(HOSTS, ask, begins)).toEqual([]);
  verdict(accepted(HOSTS));
});

test(`inside a tunnel: ${URIS.length} request targets`, async () => {
  const { fill, verdict, tunnel, authority } = await startSite();
  const ask = ([target]: Case): Promise<Answer> =>
    askInside(tunnel, `GET ${fill(target)} HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`);
  expect(await failing(URIS, ask, begins)).toEqual([]);
  verdict(accepted(URIS));
});

test(`inside a tunnel: ${SEQUENCES.length} sequences, framings and upgrades`, async () => {
  const { fill, verdict, tunnel } = await startSite();
  const ask = ([text]: Case): Promise<Answer> => askInside(tunnel, fill(text));
  expect(await failing(SEQUENCES, ask, begins)).toEqual([]);
  verdict(accepted(SEQUENCES));
});

test(`inside a tunnel, HTTP/2: ${HTTP2.length} heads`, async () => {
  const { honest, fill, verdict, tunnel } = await startSite();
  const ask = ([fields]: (typeof HTTP2)[number]): Promise<Answer> =>
    askHttp2(
      tunnel,
      fields.map(([name, value]): Field => [name, fill(value)]),
      !fields.some(([name]) => name === ':protocol'),
    );
  expect(await failing(HTTP2, ask, (answer, [, expected]) => new RegExp(`^(?:${expected})$`).test(answer))).toEqual([]);
  expect(honest.requests.filter(({ rawHeaders }) => rawHeaders.join().includes('evil'))).toEqual([]);
  verdict(HTTP2.filter(([, answer]) => answer === 'answered').length);
});

test(`SOCKS: ${SOCKS.length} hosts`, async () => {
  const { egress, fill, verdict } = await startSite();
  const ask = ([type, host, port]: (typeof SOCKS)[number]): Promise<Answer> =>
    askSocks(egress.port, type, host, Number(fill(port)));
  expect(await failing(SOCKS, ask, (answer, [, , , expected]) => answer === expected)).toEqual([]);
  verdict(0);
});

test(`a handshake of a tunnel: ${NAMES.length} names, over either HTTP`, async () => {
  const { tunnel, verdict, authority } = await startSite();
  const get = `GET / HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`;
  const ask = ([servername]: Case): Promise<Answer> => askInside({ ...tunnel, servername }, get);
  expect(await failing(NAMES, ask, begins)).toEqual([]);
  const fields = HEAD.map(([each, value]): Field => [each, value.replace('{A}', authority)]);
  const ask2 = ([servername]: Case): Promise<Answer> => askHttp2({ ...tunnel, servername }, fields);
  const fits = (answer: Answer, [, expected]: Case): boolean =>
    answer === (expected === '200' ? 'answered' : 'host-mismatch');
  expect(await failing(NAMES, ask2, fits)).toEqual([]);
  verdict(2 * accepted(NAMES));
});

test(`without a tunnel: ${PLAIN.length} requests`, async () => {
  const { egress, fill, verdict } = await startSite();
  const ask = ([head]: Case): Promise<Answer> => askRaw(egress.port, `${fill(head)}\r\nConnection: close\r\n\r\n`);
  expect(await failing(PLAIN, ask, begins)).toEqual([]);
  verdict(accepted(PLAIN));
});

test(`between services of one origin: ${PATHS.length} paths, over either HTTP`, async () => {
  const honest = await startOrigin(['api.test']);
  const origin = `https://api.test:${honest.port}`;
  const named = (each: string, target: string): string => service(each, target).replace('X-Api-Key', `X-${each}`);
  const egress = await startEgress({
    services: named('All', origin) + named('Acme', `${origin}/repos/acme`) + named('Repos', `${origin}/repos`),
    egress: '  resolve: { api.test: 127.0.0.1 }\n',
  });
  const authority = `api.test:${honest.port}`;
  const tunnel = { ca: egress.ca, port: egress.port, authority };
  const used = (from: number): string => {
    const [request] = honest.requests.slice(from);
    return request === undefined ? '' : ['x-all', 'x-acme', 'x-repos'].filter((each) => each in request.headers).join();
  };
  const wrong: string[] = [];
  for (const [path, who] of PATHS) {
    const before = honest.requests.length;
    const head = `GET ${path} HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`;
    const answer = await askInside(tunnel, head);
    const refused = answer.startsWith('400 ');
    if (used(before) !== who || refused !== (who === '')) wrong.push(`${path}: ${used(before)} ${answer}`);
    const between = honest.requests.length;
    const fields = HEAD.map(([each, old]): Field => [each, each === ':path' ? path : old.replace('{A}', authority)]);
    const answer2 = await askHttp2(tunnel, fields);
    if (used(between) !== who || (answer2 === 'answered') !== (who !== ''))
      wrong.push(`h2 ${path}: ${used(between)} ${answer2}`);
  }
  expect(wrong).toEqual([]);
}, 60_000);

test('a tunnel that ends here takes HTTP/2 without ALPN, and is held to the same authority', async () => {
  const { tunnel, verdict, authority, fill } = await startSite();
  for (const [fields, expected] of [
    [HEAD, 'answered'],
    [but(':authority', 'evil.test:{E}'), 'host-mismatch'],
    [but(':scheme', 'http'), 'request-malformed'],
  ] as const) {
    const tls = await openTunnel(tunnel);
    expect(tls).not.toBeTypeOf('string');
    const filled = fields.map(([each, value]): Field => [each, fill(value)]);
    expect(await askHttp2On(tls as Exclude<typeof tls, string>, filled)).toBe(expected);
  }
  expect(authority).toContain('api.test');
  verdict(1);
});
