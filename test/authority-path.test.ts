import { posix } from 'node:path';
import { describe, expect, test } from 'vitest';
import { canary } from './canary.ts';
import { startRig } from './rig.ts';
import { sendAll } from './smuggling/client.ts';
import { startStrictRecorder } from './smuggling/recorder.ts';
import { pathOf } from './smuggling/verdict.ts';

/** Paths that one reader takes for `/admin` and another for something else. */
function confusingPaths(): string[] {
  const seconds = [
    '..',
    '.',
    '%2e%2e',
    '.%2e',
    '%2E.',
    '%252e%252e',
    '..;',
    '..;x=y',
    '%2e%2e;',
    '..%00',
    '..%2f',
    '..%5c',
    '...',
    '%c0%ae%c0%ae',
    '..%20',
    '..\\',
  ];
  const slashes = [
    '/',
    '//',
    '%2f',
    '%2F',
    '%252f',
    '\\',
    '%5c',
    '%5C',
    '/./',
    '/%2e/',
    '/;/',
    ';/',
    '/%00/',
    '%c0%af',
    '/\t/',
    '/ /',
    '?/',
    '#/',
  ];
  const names = [
    'admin',
    '%61dmin',
    'a%64min',
    '%61%64%6d%69%6e',
    '%2561dmin',
    'admin;x',
    'admin%3bx',
    'admin%00',
    'admin.',
    'admin%2e',
    'admin%20',
    ';admin',
    'ad\x00min',
    'admin%3f',
    'admin%23',
  ];
  const climbs = seconds.flatMap((up) =>
    slashes.flatMap((slash) => [`/public/${up}${slash}admin/users`, `/public${slash}${up}${slash}admin/users`]),
  );
  const named = slashes.flatMap((slash) =>
    names.flatMap((name) => [`${slash}${name}/users`, `/public${slash}${name}`, `${slash}${name}`]),
  );
  const more = [
    '/public',
    '/public/a',
    '/public/a%20b',
    '/public/admin',
    '/admin',
    '/admin/',
    '/admin/users',
    '/adminx',
    '/ADMIN/users',
    '/public/a?b=/admin/',
    '/public/../../admin',
  ];
  return [...new Set([...climbs, ...named, ...more])].map((path) => (/^[/]/.test(path) ? path : `/${path}`));
}

const underAdmin = (path: string): boolean => /^\/+admin(?:$|[/;?#\0])/.test(path);

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Three ways in which upstreams read a target; true where it leads to `/admin`. */
const readers: Readonly<Record<string, (target: string) => boolean>> = {
  'WHATWG URL': (target) => underAdmin(new URL(`http://upstream${target}`).pathname),
  'decoded and normalised': (target) => underAdmin(posix.normalize(decoded(pathOf(target)).replaceAll('\\', '/'))),
  'split at slashes': (target) =>
    decoded(pathOf(target))
      .split('/')
      .find((segment) => segment !== '') === 'admin',
};

const RULES = (allowed: string): string => `rules:
  - { id: no-admin, effect: deny, paths: ["/admin/**"] }
  - { id: rest, effect: allow, services: [api], paths: ["${allowed}"] }
`;

async function outcome(allowed: string) {
  const recorder = await startStrictRecorder();
  const rig = await startRig(
    `services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:${recorder.port}
    credentials: { token: { from: env, get: PATH_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
${RULES(allowed)}`,
    { PATH_TOKEN: canary() },
  );
  const paths = confusingPaths();
  await sendAll(
    rig.port('api'),
    paths.map((path) => ({
      bytes: Buffer.from(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`, 'latin1'),
    })),
  );
  await rig.sidecar.drain();
  const allow = rig.events('decision').filter(({ result }) => result === 'allow');
  return {
    paths,
    received: recorder.seen().map(({ target }) => target),
    allowed: allow.map(({ path }) => path as string),
  };
}

describe.each(['/public/**', '/**'])('with /admin/** denied and %s allowed', (allowed) => {
  test('no reader finds /admin in what the upstream received, and that is what policy saw', async () => {
    const { paths, received, allowed: seenByPolicy } = await outcome(allowed);
    expect(paths.length).toBeGreaterThan(500);
    expect(received.length).toBeGreaterThan(0);
    expect(received.map(pathOf).sort()).toEqual([...seenByPolicy].sort());
    // Byte for byte as sent: nothing was repaired on the way.
    expect(received.filter((target) => !paths.includes(target))).toEqual([]);
    for (const [reader, isAdmin] of Object.entries(readers)) {
      expect({ reader, admin: received.filter(isAdmin) }).toEqual({ reader, admin: [] });
    }
  });
});

test.each(Object.entries(readers))(
  'a rule that compares the text of the path is passed by for the reader: %s',
  (_, isAdmin) => {
    const sent = confusingPaths().filter((path) => /^[!-~]+$/.test(path));
    const passed = sent.filter((path) => path !== '/admin' && !path.startsWith('/admin/'));
    expect(passed.filter(isAdmin).length).toBeGreaterThan(0);
  },
);

test('no path leads out of the path of the target', async () => {
  const recorder = await startStrictRecorder();
  const rig = await startRig(
    `services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:${recorder.port}/base
    credentials: { token: { from: env, get: PATH_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
`,
    { PATH_TOKEN: canary() },
  );
  const ups = [
    '..',
    '%2e%2e',
    '..;',
    '..%20',
    '.%20.',
    '%c0%ae%c0%ae',
    '%e0%80%ae.',
    '%ef%bc%8e.',
    '%e2%80%a4%E2%80%A4',
  ];
  const climbs = ups.flatMap((up) => ['/', '%2f', '%c0%af', '%ef%bc%8f', '%5c'].map((slash) => `/${up}${slash}admin`));
  const paths = [...climbs, '/sound', '//sound', '/a%20b/sound', '/..a/sound'];
  await sendAll(
    rig.port('api'),
    paths.map((path) => ({
      bytes: Buffer.from(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`, 'latin1'),
    })),
  );
  await rig.sidecar.drain();
  const received = recorder.seen().map(({ target }) => target);
  expect(new Set(received)).toEqual(new Set(['/base/sound', '/base//sound', '/base/a%20b/sound', '/base/..a/sound']));
});
