import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sweep } from './sweep.ts';

/**
 * `npm test`: runs vitest, then looks for canary secrets in all that the suite printed, logged, stored, measured or
 * sent downstream. Arguments go to vitest.
 */
const folder = mkdtempSync(join(tmpdir(), 'secretless-sweep-'));
const artefacts = join(folder, 'artefacts');
mkdirSync(artefacts);

const vitest = spawn('vitest', ['run', ...process.argv.slice(2)], {
  env: { ...process.env, SECRETLESS_SWEEP: folder, FORCE_COLOR: process.stdout.isTTY ? '1' : '0' },
  stdio: ['ignore', 'pipe', 'pipe'],
});
const printed: Buffer[] = [];
for (const [from, to] of [
  [vitest.stdout, process.stdout],
  [vitest.stderr, process.stderr],
] as const) {
  from.on('data', (chunk: Buffer) => {
    printed.push(chunk);
    to.write(chunk);
  });
}
const [code] = (await once(vitest, 'close')) as [number | null];
writeFileSync(join(artefacts, 'printed'), Buffer.concat(printed));

const list = join(folder, 'canaries.jsonl');
const canaries = existsSync(list)
  ? readFileSync(list, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as string)
  : [];
const report = sweep(canaries, artefacts);
const megabytes = (report.bytes / 1e6).toFixed(1);
process.stdout.write(
  `leak sweep: ${report.canaries} canary secrets in 14 forms over ${report.files} artefacts (${megabytes} MB): ${report.hits.length} found\n`,
);
for (const hit of report.hits.slice(0, 20)) process.stdout.write(`  ${hit.form} in ${hit.file}\n`);
if (report.hits.length === 0) rmSync(folder, { recursive: true });
else process.stdout.write(`kept for inspection: ${artefacts}\n`);
// A whole run in which nobody planted a canary proves nothing.
const blind = process.argv.length === 2 && report.canaries === 0;
if (blind) process.stdout.write('leak sweep: no test planted a canary, so nothing was looked for\n');
process.exitCode = code !== 0 || report.hits.length > 0 || blind ? 1 : 0;
