import { runAwsBench } from './aws.ts';
import { runEgressBench } from './egress.ts';
import { runHttpBench } from './http.ts';
import { runPostgresBench } from './postgres.ts';
import { runSshBench } from './ssh.ts';

/** `npm run bench -- <name> [flags]`: one file a bench. */
const BENCHES: ReadonlyMap<string, (words: readonly string[]) => Promise<number>> = new Map([
  ['http', runHttpBench],
  ['postgres', runPostgresBench],
  ['aws', runAwsBench],
  ['ssh', runSshBench],
  ['egress', runEgressBench],
]);

const [name = 'http', ...words] = process.argv.slice(2);
const bench = BENCHES.get(name);
if (bench === undefined) {
  process.stderr.write(`unknown bench ${name}; there are: ${[...BENCHES.keys()].join(', ')}\n`);
  process.exitCode = 64;
} else {
  process.exitCode = await bench(words);
}
