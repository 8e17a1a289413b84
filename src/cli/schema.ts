import { writeFileSync } from 'node:fs';
import { emitSchema } from '../config/emit.ts';
import { CATALOG } from '../main.ts';
import { defineCommand } from './command.ts';
import { EXIT } from './exit.ts';

export const command = defineCommand({
  name: 'schema',
  summary: 'print the JSON Schema of the configuration, for editors',
  usage: '[--write file]',
  options: { write: { type: 'string', value: 'file', meaning: 'write it to a file instead' } },
  async run(args, io) {
    const text = `${JSON.stringify(emitSchema(CATALOG), null, 2)}\n`;
    if (args.values.write === undefined) io.stdout.write(text);
    else writeFileSync(args.values.write, text);
    return EXIT.ok;
  },
});
