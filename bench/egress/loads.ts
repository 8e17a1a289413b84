import { spread, type Spread } from '../harness/statistics.ts';
import { cpuSeconds } from '../harness/usage.ts';
import { byTurns, failuresOf, figuresOf } from '../harness/turns.ts';
import type { Load, Question } from './messages.ts';
import type { EgressOptions } from './options.ts';
import type { Kind, LoadFigures } from './result.ts';
import type { Stage } from './stage.ts';
import { DIRECT, headersTo, requestTo, type Target } from './target.ts';

interface Round extends Load {
  readonly cpuMicros: number | undefined;
}

/** The same of every target, in turns. */
export async function measureLoads(stage: Stage, kind: Kind, targets: readonly Target[]): Promise<LoadFigures[]> {
  const { rounds } = stage.options.sizes;
  const turns = await byTurns(targets, rounds, (target, round) => {
    stage.say(`${kind}, round ${round + 1} of ${rounds}: ${target.name}`);
    return measured(stage, target, questionOf(stage, kind, target));
  });
  const direct = figuresOf(turns.get(DIRECT) ?? []);
  return targets.map(({ name }) => {
    const own = turns.get(name)!;
    const broken = failuresOf(own);
    const figures = figuresOf(own);
    const all = figures.filter((figure) => figure !== undefined);
    const over = (pick: (round: Round) => number | undefined): Spread | undefined => spread(all.map(pick));
    const added = (pick: (round: Round) => number): Spread | undefined =>
      name === DIRECT
        ? undefined
        : spread(figures.map((figure, at) => difference(figure && pick(figure), direct[at] && pick(direct[at]))));
    return {
      ...{ kind, target: name, exchanges: all.reduce((sum, { exchanges }) => sum + exchanges, 0) },
      failures: all.reduce((sum, { failures }) => sum + failures, broken.failures),
      firstFailure: broken.firstFailure ?? all.find((figure) => figure.firstFailure !== undefined)?.firstFailure,
      ...{ perSecond: over((round) => round.perSecond), p50: over(({ p50 }) => p50), p99: over(({ p99 }) => p99) },
      ...{ addedP50: added(({ p50 }) => p50), addedP99: added(({ p99 }) => p99) },
      cpuMicros: over((round) => round.cpuMicros),
    };
  });
}

/** Lets every target compile its hot code, and fill its pools, before anything is counted. Throws where one fails. */
export async function warmUp(stage: Stage, targets: readonly Target[]): Promise<void> {
  for (const target of targets) {
    stage.say(`warming up ${target.name}`);
    const ms = stage.options.sizes.warmSeconds * 1000;
    for (const kind of ['requests', 'streams'] as const) {
      const load = await stage.generator.ask<Load>(questionOf(stage, kind, target, ms));
      if (load.failures > 0)
        throw new Error(`${target.name}, ${kind}: ${load.failures} of ${load.exchanges} failed (${load.firstFailure})`);
    }
  }
}

async function measured({ generator }: Stage, target: Target, question: Question): Promise<Round> {
  const pids = target.pids();
  const before = cpuSeconds(pids);
  const load = await generator.ask<Load>(question);
  const used = before === undefined || pids.length === 0 ? undefined : cpuSeconds(pids)! - before;
  return { ...load, cpuMicros: used === undefined ? undefined : (used * 1e6) / load.exchanges };
}

function questionOf(stage: Stage, kind: Kind, target: Target, ms = millisecondsOf(stage.options)): Question {
  const { token, options } = stage;
  const { connections, openers, perSecond, streams, messages: count } = options.sizes;
  const { route } = target;
  const asked = { route, request: requestTo(target, token, 'GET /v1/items') };
  switch (kind) {
    case 'latency':
      return { do: 'open', ms, perSecond, connections, ...asked };
    case 'requests':
      return { do: 'closed', ms, connections, ...asked };
    case 'handshakes':
      return { do: 'handshakes', ms, connections: openers, ...asked };
    case 'streams':
      return { do: 'streams', ms, streams, route, headers: headersTo(target, token, '/v1/items') };
    case 'messages':
      return { do: 'messages', count, route, headers: headersTo(target, token, '/v1/Notes/Exchange') };
    default:
      return kind satisfies never;
  }
}

function millisecondsOf({ sizes }: EgressOptions): number {
  return sizes.seconds * 1000;
}

function difference(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one - other;
}
