import { tailLedger } from '../ledger/tail.ts';
import { verifyLedger, type VerifyReport } from '../ledger/verify.ts';
import { ledgerPath } from '../sidecar/state.ts';
import { type Arguments, defineCommand, type Io, JSON_OPTION, UsageError } from './command.ts';
import { controlClient, SOCKET_OPTION } from './control-options.ts';
import { EXIT } from './exit.ts';
import { eventText } from './ledger-text.ts';
import { didYouMean } from './suggest.ts';

const DEFAULT_LINES = 10;

const options = {
  lines: {
    type: 'string',
    short: 'n',
    value: 'count',
    meaning: `tail: newest lines to begin with, default ${DEFAULT_LINES}`,
  },
  follow: { type: 'boolean', short: 'F', meaning: 'tail: go on with new lines' },
  json: JSON_OPTION,
  socket: SOCKET_OPTION,
} as const;

export const command = defineCommand({
  name: 'ledger',
  summary: 'verify the chain of the ledger, or show its newest lines',
  usage: 'verify [file] [--json] | tail [file] [--lines count] [--follow] [--json]',
  options,
  positionals: 2,
  async run(args, io) {
    const [action, file] = args.positionals;
    if (action === 'verify') return verify(file ?? (await currentLedger(args, io)), args.values.json === true, io);
    if (action === 'tail') return tail(file ?? (await currentLedger(args, io)), args, io);
    if (action === undefined) throw new UsageError('ledger verify, or ledger tail?');
    throw new UsageError(`unknown action ${action}${didYouMean(action, ['verify', 'tail'])}`);
  },
});

/** Where the running sidecar keeps it; else where it is by default. */
async function currentLedger(args: Arguments<typeof options>, io: Io): Promise<string> {
  try {
    return (await controlClient(args.values.socket, io).status()).ledger.file;
  } catch {
    return ledgerPath(io.env);
  }
}

async function verify(file: string, json: boolean, io: Io): Promise<number> {
  const report = await verifyLedger(file);
  const good = report.ok && report.files.length > 0;
  io.stdout.write(json ? `${JSON.stringify({ ...report, ok: good })}\n` : verifyText(file, report));
  return good ? EXIT.ok : EXIT.internal;
}

function verifyText(file: string, report: VerifyReport): string {
  if (report.files.length === 0) return `${file}: there is no ledger\n`;
  const torn = report.tornBytes === 0 ? '' : `, ${report.tornBytes} bytes of an unfinished line`;
  const read = `${report.lines} lines in ${report.files.length} files${torn}`;
  if (report.ok) {
    const { removed } = report;
    const gone = removed === undefined ? '' : `; ${removed.first} to ${removed.last} were removed by rotation`;
    return `${file}: good, ${read}, events ${report.first ?? '-'} to ${report.last ?? '-'}${gone}\n`;
  }
  const problems = report.problems.map(
    (each) => `${each.file}${each.line === 0 ? '' : `:${each.line}`}: ${each.kind}: ${each.message}\n`,
  );
  return `${file}: NOT GOOD, ${read}\n${problems.join('')}`;
}

async function tail(file: string, args: Arguments<typeof options>, io: Io): Promise<number> {
  const text = args.values.lines ?? String(DEFAULT_LINES);
  if (!/^\d{1,7}$/.test(text)) throw new UsageError(`--lines is a number, not "${text}"`);
  const lines = tailLedger(file, {
    lines: Number(text),
    follow: args.values.follow === true,
    ...(io.signal === undefined ? {} : { signal: io.signal }),
  });
  // A pipe gets the lines as they are, so that `| jq` works without an option.
  const raw = args.values.json === true || !io.isTTY;
  for await (const line of lines) io.stdout.write(raw ? `${line}\n` : eventText(line));
  return EXIT.ok;
}
