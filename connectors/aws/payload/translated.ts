import { SidecarError } from 'secretless-sidecar/connector';
import { BodyProblem } from '../body/body-problem.ts';

/** What is wrong with a body, as the downstream is told. `closes` are closed when it is over, begun or not. */
export async function* translated(
  body: AsyncIterable<Uint8Array>,
  closes: readonly ({ close(): void } | undefined)[],
): AsyncGenerator<Uint8Array, void> {
  try {
    yield* body;
  } catch (thrown) {
    if (thrown instanceof BodyProblem) throw new SidecarError('body-malformed', { detail: thrown.message });
    throw thrown;
  } finally {
    // A body that was never begun leaves the generators inside unstarted, and their ends unreached.
    for (const one of closes) one?.close();
  }
}
