import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runCli } from './dispatch.ts';
import { recordedIo } from './testdata/recorded-io.ts';

const SERVICES = `version: '2'
services:
  github:
    connector: http
    target: https://api.github.com
    credentials: { token: { from: env, get: TOKEN } }
    config: { headers: { Authorization: 'Bearer {{ .token }}' } }
  releases:
    connector: http
    target: https://api.github.com/repos/acme/site/releases
    credentials: { token: { from: env, get: TOKEN } }
    config: { headers: { Authorization: 'Bearer {{ .token }}' } }
  cloud:
    connector: aws
    target: https://s3.eu-central-1.amazonaws.com
    credentials: { accessKeyId: { from: env, get: ID }, secretAccessKey: { from: env, get: KEY } }
`;
const EGRESS = `egress:
  listenOn: tcp://127.0.0.1:3128
  allow: ['https://*.npmjs.org', 'http://mirror.example.com', 'https://pastes.example']
`;
// Never fetched: there is no such variable.
const AGENTS = 'agents: { scanner: { token: { from: env, get: SCANNER_TOKEN } } }\n';
const RULES = `rules:
  - { id: no-pastes, effect: deny, agents: [scanner], hosts: [pastes.example] }
  - { id: no-cards, effect: deny, hosts: [mirror.example.com], paths: ['/cards/**'] }
  - { id: reads, effect: allow, agents: [scanner], methods: [GET] }
`;

async function explained(text: string, ...words: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'sl-explain-egress-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 's.yml'), text);
  const io = recordedIo({ env: { HOME: folder, SECRETLESS_HOME: folder } });
  const code = await runCli(['explain', '-f', join(folder, 's.yml'), ...words], io);
  return { code, out: io.out(), err: io.err() };
}

test('a URL of a service that is reached through egress is explained for the agent that asks', async () => {
  const file = SERVICES + EGRESS + AGENTS + RULES;
  const { code, out, err } = await explained(file, 'https://api.github.com/repos', '--agent', 'scanner');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toBe(`GET https://api.github.com/repos on tcp://127.0.0.1:3128
  service github (http), agent scanner, goes to https://api.github.com/repos
  allowed by rule reads: the first allow rule that matches
  RULE       EFFECT  OUTCOME      WHY
  no-pastes  deny    passed over  host "api.github.com:443" matches none of pastes.example
  no-cards   deny    passed over  host "api.github.com:443" matches none of mirror.example.com
  reads      allow   decides      all selectors match
`);
});

test.each<[string, string, readonly string[], RegExp]>([
  [
    'the service with the longest path that holds it',
    SERVICES + EGRESS,
    ['POST', 'https://api.github.com/repos/acme/site/releases/1'],
    /service releases \(http\), agent local, [^]*\n {2}allowed: there are no rules/,
  ],
  [
    'the service of a path that only begins alike',
    SERVICES + EGRESS,
    ['https://api.github.com/repos/acme/site/releasesX'],
    /service github /,
  ],
  [
    'a path that tells services apart and may be read in two ways',
    SERVICES + EGRESS,
    ['https://api.github.com/repos/acme%2Fsite/releases/1'],
    /refused \(path-ambiguous\)/,
  ],
  [
    'a method that no rule allows',
    SERVICES + EGRESS + AGENTS + RULES,
    ['DELETE', 'https://api.github.com/', '--agent=scanner'],
    /service github [^]*refused \(policy-denied\) by rule default-deny/,
  ],
  [
    'a request without a token where one is asked for',
    SERVICES + EGRESS + AGENTS,
    ['https://api.github.com/'],
    /refused \(proxy-auth-required\): .*; say with --agent who asks\n$/,
  ],
  [
    'the one agent of a file that names it',
    `${SERVICES}${EGRESS}  agent: pod\n${AGENTS}`,
    ['https://api.github.com/'],
    /service github \(http\), agent pod/,
  ],
  [
    'an origin in `allow`',
    SERVICES + EGRESS,
    ['https://registry.npmjs.org/left-pad'],
    /\n {2}no service, agent local, goes to https:\/\/registry\.npmjs\.org\n {2}passes without a credential: no service has this origin, and `egress` lets it pass untouched\n$/,
  ],
  [
    'an origin in `allow` that a rule denies',
    SERVICES + EGRESS + AGENTS + RULES,
    ['https://pastes.example/', '--agent', 'scanner'],
    /refused \(policy-denied\) by rule no-pastes: denied by the rule/,
  ],
  [
    'a request in clear to such an origin, path and all',
    SERVICES + EGRESS + AGENTS + RULES,
    ['http://mirror.example.com/cards/1', '--agent', 'scanner'],
    /refused \(policy-denied\) by rule no-cards/,
  ],
  [
    'one that passes in clear',
    SERVICES + EGRESS,
    ['http://mirror.example.com/a'],
    /goes to http:\/\/mirror\.example\.com\n {2}passes without a credential: .* lets it pass\n$/,
  ],
  [
    'the name itself where all below it may pass',
    SERVICES + EGRESS,
    ['https://npmjs.org/'],
    /\n {2}refused \(no-service\): /,
  ],
  ['another port of an origin', SERVICES + EGRESS, ['https://registry.npmjs.org:8443/'], /refused \(no-service\)/],
  ['the target in clear', SERVICES + EGRESS, ['http://api.github.com/'], /refused \(no-service\)/],
  ['an unknown origin', SERVICES + EGRESS, ['https://example.org/'], /refused \(no-service\)/],
  [
    'an unknown origin where all may pass',
    `${SERVICES}${EGRESS}  unmatched: pass\n`,
    ['https://example.org/'],
    /passes without a credential/,
  ],
  [
    'an unusual port where all may pass',
    `${SERVICES}${EGRESS}  unmatched: pass\n`,
    ['https://example.org:8443/'],
    /refused \(no-service\)/,
  ],
  ['a host with a dot at its end', SERVICES + EGRESS, ['https://api.github.com./'], /refused \(request-malformed\)/],
  ['a URL with a user', SERVICES + EGRESS, ['https://a:b@api.github.com/'], /refused \(request-malformed\)/],
  [
    'a request to AWS that nobody signed',
    SERVICES + EGRESS,
    ['https://s3.eu-central-1.amazonaws.com/reports'],
    /refused \(caller-unproven\): .*; for a request to AWS ask with --service and --aws\n/,
  ],
])('%s is told as what it is', async (_, text, words, shown) => {
  const { code, out, err } = await explained(text, ...words);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(shown);
});

test('a request to AWS through egress is explained by what it asks for', async () => {
  const asked = ['--service', 'cloud', '--aws', 's3:GetObject'];
  expect((await explained(SERVICES + EGRESS, ...asked)).out).toMatch(
    /^s3:GetObject on tcp:\/\/127\.0\.0\.1:3128\n {2}service cloud \(aws\), agent local\n {2}allowed/,
  );
  expect((await explained(SERVICES + EGRESS + AGENTS, ...asked, '--agent', 'scanner')).out).toContain('agent scanner');
  expect((await explained(SERVICES + EGRESS + AGENTS, ...asked)).err).toContain('say with --agent who it is');
});

test('listeners that have nothing to do with a URL are left out beside what passes', async () => {
  const other = `  other:
    connector: http
    listenOn: tcp://127.0.0.1:8081
    target: https://other.example
    credentials: { token: { from: env, get: TOKEN } }
    config: { headers: { Authorization: 'Bearer {{ .token }}' } }
`;
  const file = SERVICES + other + EGRESS;
  expect((await explained(file, 'https://registry.npmjs.org/')).out).not.toContain('8081');
  expect((await explained(file, 'https://other.example/')).out).not.toContain('3128');
  expect((await explained(file, 'https://other.example/', '--listener', 'tcp://127.0.0.1:3128')).out).toMatch(
    /no-service/,
  );
  expect((await explained(file, '/path')).out).toMatch(/^GET \/path on tcp:\/\/127\.0\.0\.1:8081\n/);
});

test.each([
  [SERVICES + EGRESS, ['/path'], 'what goes through `egress` is told by its whole URL'],
  [
    SERVICES + EGRESS + AGENTS,
    ['https://api.github.com/', '--agent', 'scaner'],
    'nobody who asks through `egress` can be agent "scaner" (did you mean scanner?)',
  ],
  [
    SERVICES.split('    target')
      .map((part, at) => (at === 0 ? part : `    listenOn: tcp://127.0.0.1:${at}\n    target${part}`))
      .join(''),
    ['https://api.github.com/', '--agent', 'scanner'],
    '--agent is of those who ask through `egress`: a listener belongs to one agent',
  ],
])('%s, %j is a usage error that says what to write', async (text, words, message) => {
  const { code, out, err } = await explained(text, ...words);
  expect({ code, out, err }).toEqual({
    code: 64,
    out: '',
    err: `secretless: ${message}\nrun \`secretless help\`\n`,
  });
});
