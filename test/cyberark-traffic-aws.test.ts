import { describe, expect, test } from 'vitest';
import { WELL_KNOWN_KEY } from '../connectors/aws/config.ts';
import { agentSigns, type Asked } from './aws-pitfalls-kit.ts';
import { canary } from './canary.ts';
import { problemOf } from './http-kit.ts';
import { ask, type Rig, startRig } from './rig.ts';

/*
 * Files of CyberArk Secretless Broker with the connector `aws`, whose clients write `http://secretless.empty` for an
 * endpoint that the broker is to find. Policy refuses all of it: where a request would go is in the ledger.
 */

const ANY = { accessKeyId: 'AKIAANYTHING', secretAccessKey: 'whatever' };

async function startBroker(config = `{ authenticateURLsMatching: ^http }`): Promise<Rig> {
  return startRig(`version: 2
services:
  aws:
    connector: aws
    listenOn: tcp://127.0.0.1:0
    credentials:
      accessKeyId: { from: literal, get: AKIAREALONE }
      secretAccessKey: { from: literal, get: ${canary()} }
    config: ${config}
rules: []
`);
}

/** Where the request would go, or the code of the refusal that came before. */
async function placeOf(rig: Rig, url: string, asked: Partial<Asked> = {}): Promise<unknown> {
  const { host, pathname, search } = new URL(url);
  const whole = {
    method: 'POST',
    host,
    target: `${pathname}${search}`,
    service: 'kms',
    key: WELL_KNOWN_KEY,
    ...asked,
  };
  const { headers } = agentSigns(whole);
  const fields = headers.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${headers[at + 1]!}`] : []));
  const before = rig.events('decision').length;
  const answer = await ask(
    rig.port('aws'),
    [`${whole.method} ${url} HTTP/1.1`, ...fields, 'content-length: 0'].join('\n'),
  );
  const [event] = rig.events('decision').slice(before);
  if (event?.['upstream'] !== undefined) {
    expect([event['result'], answer.status]).toEqual(['deny', 403]);
    return event['upstream'];
  }
  return answer.headers['x-secretless-error'] ?? problemOf(answer.text).code;
}

describe('an endpoint that the connector is to find', () => {
  test.each([
    ['http://secretless.empty/', {}, 'https://kms.eu-west-1.amazonaws.com'],
    [
      'http://secretless.empty/',
      { service: 'sqs', region: 'us-gov-west-1' },
      'https://sqs.us-gov-west-1.amazonaws.com',
    ],
    ['http://secretless.empty/b/k?acl', { method: 'GET', service: 's3' }, 'https://s3.eu-west-1.amazonaws.com'],
    ['http://SECRETLESS.EMPTY:80/', { host: 'secretless.empty' }, 'https://kms.eu-west-1.amazonaws.com'],
    ['http://secretless.empty:8080/', {}, 'https://kms.eu-west-1.amazonaws.com'],
    ['https://secretless.empty/', {}, 'https://kms.eu-west-1.amazonaws.com'],
  ])('%s (%j) goes to %s', async (url, asked, upstream) => {
    const found = (await placeOf(await startBroker(), url, asked)) as string;
    expect(found.replace(/:443$/, '')).toBe(upstream);
  });

  test('is found for any key, where the file says that any may ask', async () => {
    expect(await placeOf(await startBroker(), 'http://secretless.empty/', { key: ANY })).toBe('foreign-credential');
    const open = await startBroker('{ authenticateURLsMatching: ^http, foreign: sign }');
    expect(await placeOf(open, 'http://secretless.empty/', { key: ANY })).toMatch(/^https:\/\/kms\.eu-west-1\./);
  });

  test('is not found for a scope that names no place', async () => {
    expect(await placeOf(await startBroker(), 'http://secretless.empty/', { region: 'mars-1' })).toBe(
      'upstream-unclear',
    );
  });

  test('is not found where the file binds other URLs, or none', async () => {
    const bound = await startBroker(
      `{ authenticateURLsMatching: '^http://dynamodb\\.eu-west-1\\.amazonaws\\.com/', forceSSL: true }`,
    );
    expect(await placeOf(bound, 'http://secretless.empty/')).toBe('no-service');
    expect(await placeOf(await startBroker('{}'), 'http://secretless.empty/')).toBe('no-service');
  });
});

describe('a name that only looks like it', () => {
  test.each([
    'secretless.empty.evil.example',
    'xsecretless.empty',
    'secretless.empty.localhost',
    'empty',
    'secretless-empty.example',
  ])('%s is a host like any other: none of AWS, and none that a pattern names', async (host) => {
    expect(await placeOf(await startBroker(), `http://${host}/`)).toBe('no-service');
  });

  test('a host of AWS is reached over https, whatever the pattern leaves open', async () => {
    const asked = await placeOf(await startBroker(), 'http://kms.eu-west-1.amazonaws.com/');
    expect(asked).toMatch(/^https:\/\/kms\.eu-west-1\.amazonaws\.com/);
  });

  test.each([
    'http://secretless.empty@evil.example/',
    'http://evil.example@secretless.empty/',
    'http://secretless.empty./',
  ])('%s is refused as it stands', async (url) => {
    expect(await placeOf(await startBroker(), url)).toBe('request-malformed');
  });

  test('a Host that says otherwise is refused', async () => {
    const asked = { host: 'dynamodb.eu-west-1.amazonaws.com' };
    expect(await placeOf(await startBroker(), 'http://secretless.empty/', asked)).toBe('host-mismatch');
    expect(
      await placeOf(await startBroker(), 'http://dynamodb.eu-west-1.amazonaws.com/', { host: 'secretless.empty' }),
    ).toBe('host-mismatch');
  });

  test('of another connector it is a host like any other', async () => {
    const rig = await startRig(`version: 2
services:
  aws:
    connector: generic_http
    listenOn: tcp://127.0.0.1:0
    credentials: { token: { from: literal, get: ${canary()} } }
    config: { headers: { A: '{{ .token }}' }, authenticateURLsMatching: ^http, forceSSL: true }
rules: []
`);
    expect(await placeOf(rig, 'http://secretless.empty/')).toMatch(/^https:\/\/secretless\.empty/);
  });
});
