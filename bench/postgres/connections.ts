import { readdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { CAN_READ_USAGE, residentMb } from '../harness/usage.ts';
import type { Transport } from './options.ts';
import type { ChurnFigures, IdleFigures } from './result.ts';
import { openSession, type Session } from './session.ts';
import type { Stage } from './stage.ts';
import type { Target } from './target.ts';

const AT_A_TIME = 10;

/** What connections add that are logged in and rest. */
export async function measureIdle(stage: Stage, transport: Transport, target: Target): Promise<IdleFigures> {
  const { idleConnections: connections, settleSeconds } = stage.options.sizes;
  stage.say(`${connections} idle connections, ${transport}: ${target.name}`);
  await pause(settleSeconds * 1000);
  const before = residentMb(target.pids());
  const held: Session[] = [];
  let asked = 0;
  let failures = 0;
  const one = async (): Promise<void> => {
    while (asked < connections) {
      asked += 1;
      try {
        held.push(await open(stage, target));
      } catch {
        failures += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, one));
  await pause(settleSeconds * 1000);
  const after = residentMb(target.pids());
  const holding = held.length;
  await Promise.all(held.map((session) => session.end()));
  const more = before === undefined ? undefined : after! - before;
  return { transport, target: target.name, connections: holding, failures, before, more };
}

/** Connections one after another, each logged in and ended: what is left of them. */
export async function measureChurn(stage: Stage, transport: Transport, target: Target): Promise<ChurnFigures> {
  const { churnConnections: connections, churnWarm, settleSeconds } = stage.options.sizes;
  stage.say(`${connections} connections one after another, ${transport}: ${target.name}`);
  await oneAfterAnother(stage, target, churnWarm);
  await pause(settleSeconds * 1000);
  const [residentBefore, filesBefore] = [residentMb(target.pids()), openFiles(target.pids())];
  const begun = performance.now();
  const failures = await oneAfterAnother(stage, target, connections);
  const perSecond = connections / ((performance.now() - begun) / 1000);
  await pause(settleSeconds * 1000);
  return {
    transport,
    target: target.name,
    connections,
    failures,
    perSecond,
    residentBefore,
    residentAfter: residentMb(target.pids()),
    filesBefore,
    filesAfter: openFiles(target.pids()),
  };
}

async function oneAfterAnother(stage: Stage, target: Target, count: number): Promise<number> {
  let failures = 0;
  for (let at = 0; at < count; at += 1) {
    try {
      await (await open(stage, target)).end();
    } catch {
      failures += 1;
    }
  }
  return failures;
}

function open({ server }: Stage, target: Target): Promise<Session> {
  return openSession(target.port, server.user, server.database);
}

/** File descriptors, sockets among them. */
function openFiles(pids: readonly number[]): number | undefined {
  if (!CAN_READ_USAGE) return undefined;
  return pids.reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0);
}
