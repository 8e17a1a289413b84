import { Readable } from 'node:stream';
import { parse } from 'pg-protocol';
import { SidecarError } from 'secretless-sidecar/connector';
import { expect, test } from 'vitest';
import { errorResponse, oldErrorResponse, sqlstateIn } from './error-response.ts';
import { readFields } from './testdata/fields.ts';
import { errorFrame } from './testdata/packets.ts';
import { STATES } from './testdata/transcript-errors.ts';

const DETAIL = { detail: 'connect ECONNREFUSED 10.1.2.3:5432', cause: new Error('provider says no') };

test('pg-protocol reads what the client hears: fixed words, a correlation id and what to do', async () => {
  const error = new SidecarError('upstream-unreachable', DETAIL);
  const read: unknown[] = [];
  await parse(Readable.from([errorResponse(error, 'c0ffee')]), (message) => read.push(message));
  expect(read).toMatchObject([
    {
      name: 'error',
      severity: 'FATAL',
      code: '08001',
      message: error.sentence,
      detail: 'correlation id c0ffee',
      hint: error.next,
    },
  ]);
});

test('no detail, cause or host is in it', () => {
  const bytes = errorResponse(new SidecarError('upstream-unreachable', DETAIL), 'c0ffee').toString();
  expect(bytes).not.toMatch(/10\.1|ECONN|provider says/);
});

test('the severity stands there in both forms', () => {
  const fields = readFields(errorResponse(new SidecarError('draining'), 'id'));
  expect(fields).toMatchObject({ S: 'FATAL', V: 'FATAL', C: '57P01' });
});

test.each(['policy-denied', 'rate-limited'] as const)('%s names the rule that decided', (code) => {
  const fields = readFields(errorResponse(new SidecarError(code, { rule: 'no-payroll' }), 'id'));
  expect(fields['D']).toBe('correlation id id, rule no-payroll');
});

test('a NUL in the id of a rule does not end the field', () => {
  const fields = readFields(errorResponse(new SidecarError('policy-denied', { rule: 'a\0Mb' }), 'id'));
  expect(fields).toMatchObject({ D: 'correlation id id, rule aMb', M: 'policy does not allow this use' });
});

test.each(STATES)('%s is SQLSTATE %s', (code, sqlstate) => {
  expect(readFields(errorResponse(new SidecarError(code), 'id'))['C']).toBe(sqlstate);
});

test('clients of protocol 2 hear a text that ends with a NUL', () => {
  const bytes = oldErrorResponse(new SidecarError('downstream-protocol', DETAIL), 'c0ffee').toString();
  expect(bytes).toMatch(/^EFATAL: {2}what was sent .*c0ffee\)\n\0$/);
});

test.each([
  ['28P01', errorFrame({ S: 'FATAL', C: '28P01', M: 'no' })],
  [undefined, errorFrame({ S: 'FATAL', M: 'no' })],
  [undefined, errorFrame({ C: '2800' })],
  [undefined, errorFrame({ C: '28p01' })],
  ['28000', errorFrame({ C: '28000' })],
  [undefined, errorFrame({ C: '28000' }).subarray(0, -1)],
  [undefined, Buffer.concat([errorFrame({ C: '28000' }), Buffer.from('x')])],
  [undefined, Buffer.from('E\0\0\0\x04')],
])('SQLSTATE %s is read from an ErrorResponse', (expected, frame) => {
  expect(sqlstateIn(frame.subarray(5))).toBe(expected);
});
