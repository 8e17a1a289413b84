import { expect, test } from 'vitest';
import { pgbenchFigures } from './clients.ts';

const REPORT = `pgbench (15.20)
transaction type: <builtin: select only>
number of transactions actually processed: 4211
number of failed transactions: 0 (0.000%)
latency average = 0.237 ms
initial connection time = 3.145 ms
tps = 4213.337209 (without initial connection time)
`;

test('the figures of pgbench are read from its report', () => {
  expect(pgbenchFigures(REPORT)).toEqual({ transactions: 4211, perSecond: 4213.337209, latencyMs: 0.237 });
});

test('a failed transaction and a report cut short are errors, not figures', () => {
  expect(() => pgbenchFigures(REPORT.replace('transactions: 0', 'transactions: 3'))).toThrow('3 transactions failed');
  expect(() => pgbenchFigures(REPORT.replace(/^tps.*$/m, ''))).toThrow('did not report as expected');
});
