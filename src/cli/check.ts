import { printText } from '../config/print-text.ts';
import { formatProblem, type Problem } from '../config/problem.ts';
import { readConfig } from '../main.ts';
import { defineCommand, JSON_OPTION } from './command.ts';
import { configFile, FILE_OPTION } from './config-file.ts';
import { EXIT } from './exit.ts';

export const command = defineCommand({
  name: 'check',
  summary: 'read a configuration and name everything that is wrong with it',
  usage: '[-f file] [--print] [--grammar] [--json]',
  options: {
    file: FILE_OPTION,
    print: { type: 'boolean', meaning: 'print the normalised configuration; literals are shown as [secret]' },
    grammar: {
      type: 'boolean',
      meaning: 'take connectors and providers of CyberArk Secretless that this build lacks for warnings',
    },
    json: JSON_OPTION,
  },
  async run(args, io) {
    const { print, grammar, json } = args.values;
    const file = configFile(args.values.file, io.env);
    const result = readConfig(file, io.env);
    const judged = result.problems.map((problem) =>
      grammar === true && problem.kind === 'not-in-build' ? asWarning(problem) : problem,
    );
    const problems = isGood(judged) || !runs(file, io.env) ? judged : judged.map(onlyForStart);
    const ok = isGood(problems);
    if (json === true) {
      const normalized = print === true ? { normalized: result.normalized } : {};
      io.stdout.write(`${JSON.stringify({ file, ok, problems, ...normalized })}\n`);
      return ok ? EXIT.ok : EXIT.config;
    }
    for (const problem of problems) io.stderr.write(`${formatProblem(problem)}\n`);
    if (print === true && result.normalized !== undefined) io.stdout.write(printText(result.normalized));
    else if (ok) io.stdout.write(`${file}: good\n`);
    return ok ? EXIT.ok : EXIT.config;
  },
});

function isGood(problems: readonly Problem[]): boolean {
  return problems.every(({ severity }) => severity !== 'error');
}

/** Whether the file is good for `secretless run`, which brings an egress listener of its own. */
function runs(file: string, env: NodeJS.ProcessEnv): boolean {
  return isGood(readConfig(file, env, 'program').problems);
}

function asWarning(problem: Problem): Problem {
  return { ...problem, severity: 'warning' };
}

function onlyForStart(problem: Problem): Problem {
  if (problem.severity !== 'error') return problem;
  return { ...asWarning(problem), message: `${problem.message}; only \`secretless run\` does without` };
}
