import { productVersion } from '../sidecar/version.ts';
import { defineCommand, JSON_OPTION } from './command.ts';
import { EXIT } from './exit.ts';

export const command = defineCommand({
  name: 'version',
  summary: 'print the version',
  usage: '[--json]',
  options: { json: JSON_OPTION },
  async run(args, io) {
    const version = productVersion();
    const text =
      args.values.json === true ? JSON.stringify({ version, node: process.version }) : `secretless ${version}`;
    io.stdout.write(`${text}\n`);
    return EXIT.ok;
  },
});
