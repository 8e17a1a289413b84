import { expect, test } from 'vitest';
import { commit, serve, SIGNATURE } from './testdata/talk.ts';

const SIGNATURES = 200;
/** Added by the agent, for a median signature. */
const MILLISECONDS_MAX = 5;

test('a signature takes a few milliseconds longer than signing alone', async () => {
  const { key, client } = await serve();
  const times = { alone: [] as number[], asked: [] as number[] };
  for (let round = 0; round < SIGNATURES; round += 1) {
    const message = commit(key);
    const begin = performance.now();
    await key.sign(message);
    const between = performance.now();
    expect(await client.ask(message)).toBe(SIGNATURE);
    times.alone.push(between - begin);
    times.asked.push(performance.now() - between);
  }
  const median = (of: number[]): number => of.sort((one, other) => one - other)[of.length / 2]!;
  const added = median(times.asked) - median(times.alone);
  console.log(
    `ssh-agent: a signature takes ${added.toFixed(2)} ms more than the ${median(times.alone).toFixed(2)} ms of signing`,
  );
  expect(added).toBeLessThan(MILLISECONDS_MAX);
});
