import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Debian keeps servers out of the path of ordinary users, and its own python knows its own modules. */
const FOLDERS = ['/usr/bin', '/usr/sbin', '/bin', '/sbin'];

/** Path of a program; undefined where it is not installed. */
export function programPath(name: string): string | undefined {
  const folders = [...FOLDERS, ...(process.env['PATH'] ?? '').split(delimiter)];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Why a list of programs cannot be used; undefined where all are installed. */
export function missing(...names: readonly string[]): string | undefined {
  const absent = names.filter((name) => programPath(name) === undefined);
  return absent.length === 0 ? undefined : `not installed: ${absent.join(', ')}`;
}

const SFTP_SERVERS = ['/usr/lib/openssh/sftp-server', '/usr/libexec/sftp-server', '/usr/lib/ssh/sftp-server'];

export const sftpServer = SFTP_SERVERS.find((path) => existsSync(path)) ?? 'internal-sftp';

/** Debian's python, which has Debian's modules whatever comes first in the path. */
export const PYTHON = '/usr/bin/python3';

/** Why a module of python cannot be used; undefined where it can. */
export function pythonModule(name: string): string | undefined {
  if (!existsSync(PYTHON)) return `not installed: ${PYTHON}`;
  const { status } = spawnSync(PYTHON, ['-W', 'ignore', '-c', `import ${name}`]);
  return status === 0 ? undefined : `python3 has no ${name}`;
}
