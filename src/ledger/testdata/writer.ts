/** Writes decisions until it is ended; prints the id of each once it is recorded, and each change of health. */
import { writeSync } from 'node:fs';
import { openLedger } from '../ledger.ts';
import { decision } from './sample.ts';

const [file = '', rotateBytes = '1000000', callers = '8'] = process.argv.slice(2);

try {
  const ledger = await openLedger({
    file,
    durability: 'write',
    rotateBytes: Number(rotateBytes),
    keep: 1000,
    onHealth: ({ ok, reason }) => writeSync(1, `health ${ok} ${reason ?? ''}\n`),
  });
  writeSync(1, 'open\n');
  let next = 0;
  const call = async (): Promise<never> => {
    for (;;) {
      const id = `${process.pid}-${(next += 1)}`;
      try {
        await ledger.record(decision(id));
        writeSync(1, `recorded ${id}\n`);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  };
  await Promise.all(Array.from({ length: Number(callers) }, call));
} catch (error) {
  writeSync(2, `${String(error)}\n`);
  process.exitCode = 78;
}
