import { startVerifyingServer } from '../../test/aws/verifying-server.ts';
import type { Load, Question } from '../http/messages.ts';
import type { Move, Moved } from './mover.ts';
import { MIB } from './options.ts';
import { BODY_MODES, BUCKET, callRequest, CALL_SHAPES, REGION, transferOf } from './requests.ts';
import type { Proven } from './result.ts';
import type { Stage } from './stage.ts';

/**
 * Sends one request of each shape through a sidecar to a server that verifies every signature with the real key: what is
 * measured afterwards against an upstream that verifies nothing is known to be right. Throws where one is refused.
 */
export async function proveRequests(stage: Stage): Promise<Proven[]> {
  stage.say('one request of each shape against a server that verifies');
  const server = await startVerifyingServer({
    accounts: [stage.key],
    region: REGION,
    buckets: [BUCKET],
    sink: true,
  });
  const sidecar = await stage.startSidecar(server.port);
  try {
    const proven: Proven[] = [];
    for (const shape of CALL_SHAPES) {
      const request = callRequest(sidecar.port, shape);
      const question: Question = { do: 'closed', port: sidecar.port, connections: 1, ms: 0, request };
      const { failures, firstFailure } = await stage.generator.ask<Load>(question);
      if (failures > 0) throw new Error(`the call ${shape} is not right: ${firstFailure}`);
      proven.push({ shape, status: 200 });
    }
    for (const mode of BODY_MODES) {
      const port = sidecar.bodyPort(mode);
      const bytes = mode === 'get' ? 0 : 3 * MIB + 5;
      const { status } = await stage.mover.ask<Moved>({ port, ...transferOf(port, mode, bytes) } satisfies Move);
      if (status !== 200) throw new Error(`the body ${mode} is not right: status ${status}`);
      proven.push({ shape: mode, status });
    }
    return proven;
  } finally {
    await sidecar.close();
    await server.close();
  }
}
