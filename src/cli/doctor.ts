import { existsSync, statSync } from 'node:fs';
import { formatProblem } from '../config/problem.ts';
import type { DoctorFinding } from '../connector/connector.ts';
import { asSidecarError } from '../error.ts';
import { connectors, readConfig } from '../main.ts';
import { hostKey, hostKeyPath } from '../sidecar/host-key.ts';
import { checkSocketPath } from '../sidecar/socket-path.ts';
import { controlSocketPath, stateFolder } from '../sidecar/state.ts';
import { defineCommand, type Io, JSON_OPTION } from './command.ts';
import { configFile, FILE_OPTION } from './config-file.ts';
import { clientFindings } from './doctor/try-clients.ts';
import { EXIT } from './exit.ts';
import { processFacts, refusal } from './guard.ts';
import { columns } from './table.ts';

export const command = defineCommand({
  name: 'doctor',
  summary: 'look for what this machine lacks, and try the clients that are installed',
  usage: '[-f file] [--json]',
  options: { file: FILE_OPTION, json: JSON_OPTION },
  async run({ values }, io) {
    const findings = [
      nodeFinding(),
      ...(await stateFindings(io)),
      ...(await Promise.all(connectors.map(async (connector) => (await connector.doctor?.()) ?? []))).flat(),
      ...configFindings(values.file, io),
      ...(await clientFindings(io.env)),
    ];
    const ok = findings.every(({ verdict }) => verdict !== 'wrong');
    if (values.json === true) io.stdout.write(`${JSON.stringify({ ok, findings })}\n`);
    else io.stdout.write(columns(findings.map(({ name, verdict, next = '' }) => [verdict, name, next])));
    return ok ? EXIT.ok : EXIT.config;
  },
});

/** Good, or wrong with what to do. */
function finding(name: string, next: string | undefined): DoctorFinding {
  return next === undefined ? { name, verdict: 'good' } : { name, verdict: 'wrong', next };
}

function nodeFinding(): DoctorFinding {
  return finding(`Node ${process.versions.node}`, refusal(processFacts()));
}

async function stateFindings({ env }: Io): Promise<DoctorFinding[]> {
  const folder = stateFolder(env);
  const found: DoctorFinding[] = [finding('state folder', folderProblem(folder))];
  const socket = controlSocketPath(env);
  found.push(finding('path of the control socket', await problemOf(() => checkSocketPath(socket))));
  // Where there is none, the first connection that needs it makes it.
  if (existsSync(hostKeyPath(folder))) found.push(finding('host key', await problemOf(() => hostKey(folder))));
  return found;
}

function folderProblem(folder: string): string | undefined {
  if (!existsSync(folder)) return undefined;
  const stat = statSync(folder);
  if (!stat.isDirectory()) return `${folder} is no folder: move it away, or set SECRETLESS_HOME`;
  if ((stat.mode & 0o077) !== 0) return `${folder} is open to others: chmod 700 ${folder}`;
  const isForeign = process.getuid !== undefined && stat.uid !== process.getuid();
  return isForeign ? `${folder} belongs to another user: set SECRETLESS_HOME to a folder of your own` : undefined;
}

async function problemOf(look: () => unknown): Promise<string | undefined> {
  try {
    await look();
    return undefined;
  } catch (error) {
    const { detail, sentence } = asSidecarError(error);
    return detail ?? sentence;
  }
}

/** The verdict of `check`. Without a file that is named, and none in its places, there is nothing to judge. */
function configFindings(given: string | undefined, { env }: Io): DoctorFinding[] {
  let file: string;
  try {
    file = configFile(given, env);
  } catch {
    return [];
  }
  const name = `configuration ${file}`;
  try {
    const errors = readConfig(file, env).problems.filter(({ severity }) => severity === 'error');
    return [finding(name, errors.length === 0 ? undefined : errors.map(formatProblem).join('; '))];
  } catch (error) {
    return [finding(name, asSidecarError(error).detail)];
  }
}
