import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { spread } from '../harness/statistics.ts';
import { residentMb } from '../harness/usage.ts';
import type { Held, Question } from './messages.ts';
import type { IdleFigures, StartFigures } from './result.ts';
import type { Stage } from './stage.ts';

/** From the start of the process to the first 200 on `/readyz`. */
export async function measureStart(stage: Stage): Promise<StartFigures> {
  const ready: number[] = [];
  const bareNode: number[] = [];
  for (let at = 0; at < stage.options.sizes.starts; at += 1) {
    stage.say(`start ${at + 1} of ${stage.options.sizes.starts}`);
    const sidecar = await stage.startSidecar(true);
    ready.push(sidecar.readyMs);
    await sidecar.close();
    bareNode.push(await emptyProgram());
  }
  return { ready: spread(ready), bareNode: spread(bareNode) };
}

async function emptyProgram(): Promise<number> {
  const begun = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return performance.now() - begun;
}

/** Memory of a sidecar that does nothing, and what idle connections add to it. */
export async function measureIdle(stage: Stage): Promise<IdleFigures> {
  const silent = await idleConnections(stage, false);
  const kept = await idleConnections(stage, true);
  return {
    resident: silent.before,
    connections: stage.options.sizes.idleConnections,
    failures: silent.failures + kept.failures,
    silentMore: silent.more,
    keptMore: kept.more,
  };
}

interface Growth {
  readonly before: number | undefined;
  readonly more: number | undefined;
  readonly failures: number;
}

async function idleConnections(stage: Stage, used: boolean): Promise<Growth> {
  const { idleConnections: connections, settleSeconds } = stage.options.sizes;
  stage.say(`${connections} idle connections, ${used ? 'kept after one exchange' : 'never used'}`);
  const sidecar = await stage.startSidecar();
  try {
    await pause(settleSeconds * 1000);
    const before = residentMb(sidecar.pids());
    const request = used ? stage.itemRequest(sidecar) : undefined;
    const question: Question = { do: 'hold', port: sidecar.port, connections, request };
    const { failures } = await stage.generator.ask<Held>(question);
    await pause(settleSeconds * 1000);
    const after = residentMb(sidecar.pids());
    await stage.generator.ask<Held>({ do: 'release' } satisfies Question);
    return { before, more: before === undefined ? undefined : after! - before, failures };
  } finally {
    await sidecar.close();
  }
}
