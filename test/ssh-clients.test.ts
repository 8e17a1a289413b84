import { execFileSync } from 'node:child_process';
import { describe } from 'vitest';
import { ANSIBLE_CASE, ASYNCSSH_CASE, DROPBEAR_CASE, LIBSSH2_CASES, PARAMIKO_CASE } from './ssh/cases/clients.ts';
import { compareCases, type Case } from './ssh/compare.ts';
import { missing, programPath, pythonModule } from './ssh/programs.ts';
import { useWorld } from './ssh/world.ts';

/** Whether Debian's curl was built with libssh2. */
function curlMissing(): string | undefined {
  if (programPath('curl') === undefined) return 'not installed: curl';
  return /\bsftp\b/.test(execFileSync('curl', ['--version']).toString()) ? undefined : 'curl has no SFTP';
}

const noServer = missing('sshd', 'ssh');

describe.skipIf(noServer !== undefined)(
  `clients other than OpenSSH${noServer === undefined ? '' : ` (${noServer})`}`,
  () => {
    const { doors } = useWorld();
    const lists: readonly (readonly [name: string, cases: readonly Case[], absent: string | undefined])[] = [
      ['paramiko', [PARAMIKO_CASE], pythonModule('paramiko')],
      ['asyncssh', [ASYNCSSH_CASE], pythonModule('asyncssh')],
      ['dropbear', [DROPBEAR_CASE], missing('dbclient', 'dropbearconvert')],
      ['libssh2', LIBSSH2_CASES, curlMissing()],
      ['ansible', [ANSIBLE_CASE], missing('sftp', 'python3')],
    ];
    for (const [name, cases, absent] of lists) {
      describe.skipIf(absent !== undefined)(absent === undefined ? name : `${name} (${absent})`, () => {
        compareCases(doors, cases);
      });
    }
  },
);
