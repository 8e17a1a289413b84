import { afterAll, describe, expect, test } from 'vitest';
import { allDone, BOTO_MESSAGES, BOTO_S3, BOTO_SECOND_VERSION, runBoto } from './aws/tools/boto.ts';
import { pythonsWithBoto, ToolPlace } from './aws/tools/place.ts';
import { PROGRAMS } from './aws/tools/programs.ts';
import { expectNoDummies, useWorld } from './aws/world.ts';

/** Programs that people use, against a server that verifies every signature: with the real key, and without. */

const { server, direct, through } = useWorld();
const pythons = [...pythonsWithBoto()];

afterAll(() => expectNoDummies(server().requests));

/** Places are opened at the first use: their doors are not there before. */
function usePlaces(): () => readonly [direct: ToolPlace, through: ToolPlace] {
  let places: readonly [ToolPlace, ToolPlace] | undefined;
  afterAll(() => places?.forEach((place) => place.close()));
  return () => (places ??= [new ToolPlace(direct()), new ToolPlace(through())]);
}

/** What became of it on each side, which are tried at the same time. */
async function bothSides(
  [real, dummy]: readonly [ToolPlace, ToolPlace],
  run: (place: ToolPlace) => Promise<unknown>,
): Promise<{ readonly direct: unknown; readonly through: unknown }> {
  const outcome = async (place: ToolPlace): Promise<unknown> => {
    try {
      return await run(place);
    } catch (error) {
      return error;
    }
  };
  const [one, other] = await Promise.all([outcome(real), outcome(dummy)]);
  return { direct: one, through: other };
}

describe.each(PROGRAMS)('$name with the real key, and through the sidecar with one that opens nothing', (program) => {
  const places = usePlaces();
  describe.skipIf(program.missing !== undefined)(program.missing ?? 'does', () => {
    test.each(Object.entries(program.steps))('%s', async (_, run) => {
      expect(await bothSides(places(), run)).toEqual({ direct: undefined, through: undefined });
    });

    const { presignsV2 } = program;
    if (presignsV2 !== undefined) test('presign in version 2, through the sidecar', () => presignsV2(places()[1]));
  });
});

describe('boto3 with the real key, and through the sidecar with one that opens nothing', () => {
  const places = usePlaces();
  const steps = [...BOTO_S3, ...BOTO_MESSAGES];
  test.skipIf(pythons.length > 0)('is not installed', () => undefined);
  test.each(pythons)('does everything in version %s', async (_, python) => {
    const outcomes = await bothSides(places(), (place) => runBoto(place, python, steps, 'AKIAREALONE'));
    expect(outcomes).toEqual({ direct: allDone(steps), through: allDone(steps) });
  });

  test.each(pythons)('signs URLs in the second version for the sidecar in version %s', async (_, python) => {
    const [, place] = places();
    expect(await runBoto(place, python, [BOTO_SECOND_VERSION])).toEqual(allDone([BOTO_SECOND_VERSION]));
  });
});
