import { expect, test } from 'vitest';
import { canonicalPath, pathRuleOf } from './path.ts';
import { SigningProblem } from './problem.ts';

test.each([
  ['/', '/'],
  ['', '/'],
  ['/bucket/a%20dir/k(1)+é', '/bucket/a%20dir/k%281%29%2B%E9'],
  ['/bucket/caf%C3%A9', '/bucket/caf%C3%A9'],
  ['/bucket/caf%c3%a9', '/bucket/caf%C3%A9'],
  ["/bucket/=~*'!%26", '/bucket/%3D~%2A%27%21%26'],
  ['/bucket/100%25', '/bucket/100%25'],
])('P5: S3 encodes %j once, as %j', (wire, canonical) => {
  expect(canonicalPath(wire, 's3')).toBe(canonical);
  expect(canonicalPath(canonical, 's3')).toBe(canonical);
});

test.each(['/b//k', '/b/../x', '/b/./x', '//', '/b/'])(
  'P5: S3 keeps %j as it is: it is another key than its normal form',
  (wire) => {
    expect(canonicalPath(wire, 's3')).toBe(wire);
  },
);

test('P5: for S3 an escaped slash is the slash that servers read', () => {
  expect(canonicalPath('/b/a%2Fb', 's3')).toBe('/b/a/b');
});

test.each([
  ['/model/anthropic.claude-3%3A0/converse', '/model/anthropic.claude-3%253A0/converse'],
  ['/2015-03-31/functions/arn:aws:lambda/invocations', '/2015-03-31/functions/arn%3Aaws%3Alambda/invocations'],
  ['/a/./b//c/../d/', '/a/b/d/'],
  ['/a/..', '/'],
  ['//', '/'],
  ['/..', '/'],
])('P5: other services normalise %j and encode the path as sent, %j', (wire, canonical) => {
  expect(canonicalPath(wire, 'general')).toBe(canonical);
});

test('P5: a percent sign that escapes nothing is refused for S3', () => {
  for (const wire of ['/b/100%', '/b/%zz', '/b/%2']) {
    expect(() => canonicalPath(wire, 's3')).toThrow(SigningProblem);
  }
});

test('P5: the S3 family has the rule of S3, others have the general one', () => {
  expect(['s3', 's3express', 's3-outposts', 's3-object-lambda'].map(pathRuleOf)).toEqual(['s3', 's3', 's3', 's3']);
  expect(['s3tables', 'dynamodb', 'execute-api', 'S3'].map(pathRuleOf)).toEqual(Array(4).fill('general'));
});
