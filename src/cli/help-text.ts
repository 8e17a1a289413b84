import type { Command, OptionSpec } from './command.ts';
import { columns } from './table.ts';

/** Help of one command. */
export function commandHelp(command: Command): string {
  const options: Record<string, OptionSpec> = {
    ...command.options,
    help: { type: 'boolean', short: 'h', meaning: 'this text' },
  };
  const rows = Object.entries(options).map(([name, option]) => [`  ${spelling(name, option)}`, option.meaning]);
  return `secretless ${command.name} ${command.usage}`.trimEnd() + `\n${command.summary}\n\n${columns(rows)}`;
}

function spelling(name: string, option: OptionSpec): string {
  const short = option.short === undefined ? '    ' : `-${option.short}, `;
  return `${short}--${name}${option.type === 'string' ? ` <${option.value ?? 'text'}>` : ''}`;
}
