import { judgeLimits, type Bar, type Limit } from '../harness/bars.ts';
import { CIPHER_NAMES, CIPHERS } from './options.ts';
import type { CopyFigures, SshResult, Way } from './result.ts';
import { WITH_ADDON, WITHOUT_ADDON } from './stage.ts';

type Measured = Omit<SshResult, 'bars'>;

const WAYS: readonly Way[] = ['down', 'up'];

/** With the addon where there is one: that is what the bars of speed are for. */
function ours<Row extends { readonly target: string }>(rows: readonly Row[]): Row | undefined {
  return rows.find(({ target }) => target === WITH_ADDON) ?? rows.find(({ target }) => target === WITHOUT_ADDON);
}

function copyOf({ copies }: Measured, cipher: string, way: Way): CopyFigures | undefined {
  return ours(copies.filter((row) => row.cipher === cipher && row.way === way));
}

const LIMITS: readonly Limit<Measured>[] = [
  ...CIPHER_NAMES.flatMap((cipher) =>
    WAYS.flatMap((way): Limit<Measured>[] => [
      {
        bar: `${CIPHERS[cipher]} ${way}: speed over direct`,
        limit: 0.85,
        unit: '×',
        atLeast: true,
        value: (result) => copyOf(result, cipher, way)?.overDirect?.median,
      },
      {
        bar: `${CIPHERS[cipher]} ${way}: CPU with the addon`,
        limit: 2,
        unit: 's/GiB',
        value: ({ copies }) =>
          copies.find((row) => row.cipher === cipher && row.way === way && row.target === WITH_ADDON)?.cpuSecondsPerGib
            ?.median,
      },
    ]),
  ),
  { bar: '`ssh host true`: added', limit: 15, unit: 'ms', value: ({ latency }) => ours(latency)?.addedMs },
  { bar: 'a reader that stops: resident more', limit: 80, unit: 'MB', value: ({ stopped }) => ours(stopped)?.more },
  { bar: 'a signature by the agent: added', limit: 5, unit: 'ms', value: ({ agent }) => ours(agent)?.addedMs },
];

/** The bars, each with what was measured. */
export function judge(result: Measured): Bar[] {
  return judgeLimits(LIMITS, result);
}
