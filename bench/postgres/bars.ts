import { judgeLimits, type Bar, type Limit } from '../harness/bars.ts';
import { TRANSPORTS, type Transport } from './options.ts';
import type { ChurnFigures, Load, PostgresResult } from './result.ts';

type Measured = Omit<PostgresResult, 'bars'>;

const OVER_PGBOUNCER: readonly (readonly [Load, string])[] = [
  ['select', 'select-only, 1 client'],
  ['select8', 'select-only, 8 clients'],
  ['tpcb', 'TPC-B, 4 clients'],
];

const LIMITS: readonly Limit<Measured>[] = TRANSPORTS.flatMap((transport): Limit<Measured>[] => [
  ...OVER_PGBOUNCER.map(([load, words]): Limit<Measured> => ({
    bar: `${words}, ${transport}: tps over pgbouncer`,
    limit: 1,
    unit: '×',
    atLeast: true,
    value: (result) => transactionsOf(result, transport, load)?.overPgbouncer?.median,
  })),
  {
    bar: `connect per transaction, ${transport}: tps over direct`,
    limit: 0.9,
    unit: '×',
    atLeast: true,
    value: (result) => transactionsOf(result, transport, 'connect')?.overDirect?.median,
  },
  ...(['out', 'in'] as const).map((way): Limit<Measured> => ({
    bar: `COPY ${way}, ${transport}: speed over direct`,
    limit: 0.95,
    unit: '×',
    atLeast: true,
    value: (result) =>
      result.copies.find((row) => row.target === 'sidecar' && row.transport === transport && row.way === way)
        ?.overDirect?.median,
  })),
  {
    bar: `1,000 idle connections, ${transport}`,
    limit: 40,
    unit: 'MB',
    value: ({ idle }) => idle.find((row) => row.target === 'sidecar' && row.transport === transport)?.more,
  },
  {
    bar: `connections one after another, ${transport}: resident more`,
    limit: 8,
    unit: 'MB',
    value: (result) => moreOf(result, transport, 'residentBefore', 'residentAfter'),
  },
  {
    bar: `connections one after another, ${transport}: descriptors more`,
    limit: 0,
    unit: '',
    value: (result) => moreOf(result, transport, 'filesBefore', 'filesAfter'),
  },
]);

/** The bars, each with what was measured. */
export function judge(result: Measured): Bar[] {
  return judgeLimits(LIMITS, result);
}

function transactionsOf({ transactions }: Measured, transport: Transport, load: Load) {
  return transactions.find((row) => row.target === 'sidecar' && row.transport === transport && row.load === load);
}

type Count = 'residentBefore' | 'residentAfter' | 'filesBefore' | 'filesAfter';

function moreOf({ churn }: Measured, transport: Transport, before: Count, after: Count): number | undefined {
  const row: ChurnFigures | undefined = churn.find((one) => one.target === 'sidecar' && one.transport === transport);
  const [from, to] = [row?.[before], row?.[after]];
  return from === undefined || to === undefined ? undefined : to - from;
}
