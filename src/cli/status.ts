import { defineCommand, JSON_OPTION } from './command.ts';
import { controlClient, SOCKET_OPTION } from './control-options.ts';
import { EXIT } from './exit.ts';
import { statusText } from './status-text.ts';

export const command = defineCommand({
  name: 'status',
  summary: 'show what the running sidecar does',
  usage: '[--json] [--socket path]',
  options: { json: JSON_OPTION, socket: SOCKET_OPTION },
  async run(args, io) {
    const status = await controlClient(args.values.socket, io).status();
    io.stdout.write(args.values.json === true ? `${JSON.stringify(status)}\n` : statusText(status, new Date()));
    return EXIT.ok;
  },
});
