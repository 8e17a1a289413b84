import { defineCommand, UsageError } from './command.ts';
import { COMMANDS } from './commands.ts';
import { EXIT } from './exit.ts';
import { commandHelp } from './help-text.ts';
import { didYouMean } from './suggest.ts';
import { columns } from './table.ts';

export const command = defineCommand({
  name: 'help',
  summary: 'list the commands, or tell about one',
  usage: '[command]',
  options: {},
  positionals: 1,
  async run(args, io) {
    const [name] = args.positionals;
    io.stdout.write(name === undefined ? await overview() : await about(name));
    return EXIT.ok;
  },
});

async function about(name: string): Promise<string> {
  const load = COMMANDS.get(name);
  if (load === undefined) throw new UsageError(`unknown command ${name}${didYouMean(name, COMMANDS.keys())}`);
  return commandHelp((await load()).command);
}

async function overview(): Promise<string> {
  const loaded = await Promise.all([...COMMANDS.values()].map((load) => load()));
  const rows = loaded.map((each) => [`  ${each.command.name}`, each.command.summary]);
  return [
    'secretless <command> [options]\n',
    'Lends credentials: agents connect to localhost holding nothing, the upstream sees the real credential.\n\n',
    columns(rows),
    '\n`secretless help <command>` tells about one. Without a command, the flags of CyberArk Secretless Broker are\n',
    'read: `secretless -f secretless.yml [-watch] [-debug]` is `secretless start`.\n\n',
    'Exit codes: 0 done, 64 wrong command line, 70 failed or not running, 78 wrong configuration.\n',
    'State (control socket, ledger) is in $SECRETLESS_HOME, or ~/.secretless.\n',
  ].join('');
}
