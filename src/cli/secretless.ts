#!/usr/bin/env -S node --max-semi-space-size=4
// First of all: without a handler of ours, Node answers SIGUSR1 by opening an inspector. `start` puts reload here.
process.on('SIGUSR1', () => undefined);

// Nothing is imported statically: it would run before the line above.
const { processFacts, refusal } = await import('./guard.ts');

const refused = refusal(processFacts());
if (refused !== undefined) {
  process.stderr.write(`secretless: ${refused}\n`);
  process.exit(78);
}

// A reader that went away (`| head`) ends the command quietly.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 70));

const { runCli } = await import('./dispatch.ts');
const code = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  isTTY: process.stdout.isTTY,
});
// Exits even where something still holds the event loop, but not before standard output is out.
process.stdout.write('', () => process.exit(code));

export {};
