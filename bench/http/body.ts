import { spread } from '../harness/statistics.ts';
import { cpuSeconds, forgetPeak, peakMb, residentMb } from '../harness/usage.ts';
import type { BodyTransfer, Question } from './messages.ts';
import type { BodyFigures } from './result.ts';
import type { Stage } from './stage.ts';
import { requestTo, type Target } from './target.ts';

interface Transfer {
  readonly mbPerSecond: number;
  readonly cpuSeconds: number | undefined;
  readonly residentMore: number | undefined;
  readonly intact: boolean;
}

const WAYS = ['up', 'down'] as const;
type Way = (typeof WAYS)[number];

/** One large body at a time, each way through every target. */
export async function measureBodies(stage: Stage, targets: readonly Target[]): Promise<BodyFigures[]> {
  const { bodyBytes, bodyRounds } = stage.options.sizes;
  const rows = WAYS.flatMap((way) => targets.map((target) => ({ way, target, transfers: [] as Transfer[] })));
  for (let at = 0; at < bodyRounds; at += 1) {
    stage.say(`bodies, round ${at + 1} of ${bodyRounds}`);
    for (const row of at % 2 === 0 ? rows : rows.toReversed()) {
      row.transfers.push(await transfer(stage, row.target, row.way, bodyBytes));
    }
  }
  return rows.map(({ way, target, transfers }) => ({
    target: target.name,
    way,
    bytes: bodyBytes,
    failures: transfers.filter(({ intact }) => !intact).length,
    mbPerSecond: spread(transfers.map(({ mbPerSecond }) => mbPerSecond)),
    cpuSeconds: spread(transfers.map((one) => one.cpuSeconds)),
    residentMore: spread(transfers.map(({ residentMore }) => residentMore)),
  }));
}

async function transfer(stage: Stage, target: Target, way: Way, bytes: number): Promise<Transfer> {
  const pids = target.pids();
  const measurable = pids.length > 0;
  forgetPeak(pids);
  const resident = residentMb(pids);
  const cpu = cpuSeconds(pids);
  const answer = await stage.generator.ask<BodyTransfer>(question(stage, target, way, bytes));
  return {
    mbPerSecond: bytes / 1e6 / answer.seconds,
    cpuSeconds: measurable && cpu !== undefined ? cpuSeconds(pids)! - cpu : undefined,
    residentMore: measurable && resident !== undefined ? peakMb(pids)! - resident : undefined,
    intact: answer.status === 200 && (way === 'up' || answer.bodyBytes === bytes),
  };
}

function question({ token }: Stage, target: Target, way: Way, bytes: number): Question {
  switch (way) {
    case 'up': {
      const fields = ['Content-Type: application/octet-stream', `Content-Length: ${bytes}`];
      return {
        do: 'body',
        port: target.port,
        head: requestTo(target, token, 'POST /v1/sink', fields),
        uploadBytes: bytes,
      };
    }
    case 'down':
      return {
        do: 'body',
        port: target.port,
        head: requestTo(target, token, `GET /v1/body?bytes=${bytes}`),
        uploadBytes: 0,
      };
    default:
      return way satisfies never;
  }
}
