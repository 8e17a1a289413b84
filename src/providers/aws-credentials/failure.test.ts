import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { SidecarError } from '../../error.ts';
import { fromSdk } from './failure.ts';

const made = (name: string, message: string, more: object = {}) => Object.assign(new Error(message), { name, ...more });

it.each([
  ['CredentialsProviderError', 'Could not load credentials from any providers', 'credential-missing'],
  ['CredentialsProviderError', 'Could not resolve credentials using profile: [canary]', 'credential-missing'],
  ['CredentialsProviderError', 'Command failed: canary', 'credential-unavailable'],
  ['TimeoutError', 'canary', 'credential-timeout'],
  ['HeadersTimeoutError', 'canary', 'credential-timeout'],
  ['AccessDenied', 'canary', 'credential-unavailable'],
])('%s with "%s" is %s, and its words are not repeated', (name, message, code) => {
  const error = fromSdk(made(name, message), 'STS');
  expect(error).toMatchObject({ code, detail: `STS: ${name}` });
  expect(inspect(error, { depth: null, showHidden: true })).not.toContain('canary');
});

it('code, status and the id of the request are kept, and nothing that only looks like them', () => {
  const metadata = { $metadata: { httpStatusCode: 403, requestId: 'a-1' } };
  expect(fromSdk(made('Error', '', { code: 'ECONNREFUSED' }), 'STS').detail).toBe('STS: Error, ECONNREFUSED');
  expect(fromSdk(made('Denied', '', metadata), 'STS').detail).toBe('STS: Denied, HTTP 403, request a-1');
  expect(fromSdk(made('<b> a sentence', '', { code: 'x'.repeat(65) }), 'STS').detail).toBe('STS: unnamed, unnamed');
});

it('an error that is ours stays as it is, and what is no error says no word', () => {
  const own = new SidecarError('draining');
  expect(fromSdk(own, 'STS')).toBe(own);
  expect(fromSdk('canary', 'STS')).toMatchObject({ code: 'credential-unavailable', detail: 'STS' });
});
