import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readGitCommand, repositoryOf } from './git-command.ts';

const hasGit = spawnSync('git', ['--version']).status === 0;
const PROGRAMS = [
  'git-upload-pack',
  'git-receive-pack',
  'git-upload-archive',
  'git-lfs-authenticate',
  'git-lfs-transfer',
];

/** As git writes an argument (`sq_quote_buf`). */
const quoted = (text: string): string => `'${text.replace(/['!]/g, (letter) => `'\\${letter}'`)}'`;

describe('a command of git', () => {
  test.each([
    ["git-upload-pack 'acme/api.git'", { repository: 'acme/api', push: false }],
    ["git-upload-pack '/acme/api.git'", { repository: 'acme/api', push: false }],
    ["git-upload-pack '/acme/api.git/'", { repository: 'acme/api', push: false }],
    ["git-upload-pack '/ACME/Api'", { repository: 'acme/api', push: false }],
    ["git upload-pack 'acme/api.git'", { repository: 'acme/api', push: false }],
    ['git-upload-pack acme/api.git', { repository: 'acme/api', push: false }],
    ["git-upload-pack '~/api.git'", { repository: 'api', push: false }],
    ["git-upload-pack '~alice/api.git'", { repository: '~alice/api', push: false }],
    ["git-upload-pack 'acme/api/.git'", { repository: 'acme/api', push: false }],
    ["git-upload-pack 'it'\\''s/wow'\\!''", { repository: "it's/wow!", push: false }],
    ["git-upload-pack 'acme/an api'", { repository: 'acme/an api', push: false }],
    ["git-receive-pack 'acme/api.git'", { repository: 'acme/api', push: true }],
    ["git receive-pack 'acme/api.git'", { repository: 'acme/api', push: true }],
    ["git-upload-archive 'acme/api.git'", { repository: 'acme/api', push: false }],
    ['git-lfs-authenticate acme/api.git download', { repository: 'acme/api', push: false }],
    ["git-lfs-authenticate '/acme/api.git' upload", { repository: 'acme/api', push: true }],
    ['git-lfs-transfer acme/api.git upload', { repository: 'acme/api', push: true }],
  ])('%s is read', (command, facts) => {
    expect(readGitCommand(command)).toMatchObject(facts);
  });

  test.each([
    "git-upload-pack 'acme/api.git'; id",
    "git-upload-pack 'acme/api.git' ",
    " git-upload-pack 'acme/api.git'",
    "git-upload-pack  'acme/api.git'",
    "git-upload-pack\t'acme/api.git'",
    "git-upload-pack 'acme/api.git'\n",
    "git-upload-pack 'acme/api.git'\nid",
    "git-upload-pack 'acme/api.git' 'other.git'",
    "git-upload-pack 'acme/api.git' upload",
    'git-lfs-authenticate acme/api.git',
    'git-lfs-authenticate acme/api.git delete',
    'git-upload-pack "acme/api.git"',
    'git-upload-pack acme/$HOME.git',
    'git-upload-pack ~/api.git',
    'git-upload-pack acme/*.git',
    "git-upload-pack 'acme/api.git",
    "git-upload-pack 'acme'/api.git",
    "git-upload-pack --strict 'acme/api.git'",
    "git-upload-pack '--strict'",
    "git-upload-pack 'acme/../other'",
    "git-upload-pack './acme'",
    "git-upload-pack 'acme//api'",
    "git-upload-pack '//acme'",
    "git-upload-pack 'acme/api//'",
    "git-upload-pack 'acme%2fapi'",
    "git-upload-pack 'acme\\api'",
    "git-upload-pack 'acme:api'",
    "git-upload-pack '/~alice/api'",
    "git-upload-pack '~/~alice/api'",
    "git-upload-pack '~'",
    "git-upload-pack ''",
    "git-upload-pack '/'",
    "git-upload-pack 'api.git.git'",
    "git-upload-pack 'api.git/.git'",
    "git-upload-pack 'api.GIT.git'",
    "git-upload-pack 'acme/\u212aey'",
    "git-upload-pack 'acme/\udce9'",
    'git-upload-pack =ls',
    'git-upload-pack acme/{api,other}',
    "git-upload-pack 'acme/\u00a0api'",
    "git-upload-pack 'acme/api\r'",
    "git-upload-pack 'acme/api\0'",
    "git-upload-pack 'acme/api'\0",
    "git-upload-pack '--upload-pack=id'",
    "git-upload-pack 'acme/-api'",
    "git-upload-pack '.git'",
    "git-upload-pack 'acme/api.git''/../other'",
    "git-receive-pack --http-backend-info-refs 'acme/api'",
    "git -c core.sshCommand=id upload-pack 'acme/api'",
    'git-lfs-transfer acme/api.git Upload',
    'git-upload-pack',
    'git-shell',
    'GIT-UPLOAD-PACK acme/api',
    '/usr/bin/git-upload-pack acme/api',
    'env git-upload-pack acme/api',
    'git push',
    'legitimate',
  ])('%s is unclear', (command) => {
    expect(readGitCommand(command)).toBe('unclear');
  });

  test('a name longer than any is unclear', () => {
    expect(readGitCommand(`git-upload-pack '${'a'.repeat(1024)}'`)).toMatchObject({ push: false });
    expect(readGitCommand(`git-upload-pack '${'a'.repeat(1025)}'`)).toBe('unclear');
  });

  test.each(['uptime', '', "sh -c 'rm -rf .'", 'scp -t /srv'])('%s is none', (command) => {
    expect(readGitCommand(command)).toBeUndefined();
  });
});

describe('a name of a repository', () => {
  test('holds no part that means another place, whatever is asked for', () => {
    const part = fc.constantFrom('a', 'B', '.git', '/', '..', '.', '~', '-', '%2e', '\\', ' ', 'é', '\u0000', '\n');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const name = repositoryOf(parts.join(''));
        if (name === undefined) return;
        expect(name).not.toMatch(/(^|\/)(\.{0,2}|-.*)(\/|$)|[^ -~]|[A-Z%\\]|\.git(\/|$)|\/~/);
      }),
    );
  });
});

describe.skipIf(process.platform === 'win32')('beside the shell', () => {
  const folder = mkdtempSync(join(tmpdir(), 'git-command-'));
  const record = join(folder, 'record');
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeAll(() => {
    for (const program of [...PROGRAMS, 'git', 'id']) {
      const script = `#!/bin/sh\nprintf '%s\\0' "\${0##*/}" "$@" >> ${record}\nprintf '\\n' >> ${record}\n`;
      writeFileSync(join(folder, program), script);
      chmodSync(join(folder, program), 0o755);
    }
  });

  /** What programs ran, with their arguments, as a login shell would run the command. */
  const runIn = (shell: string, command: string): string[][] => {
    writeFileSync(record, '');
    spawnSync(shell, ['-c', command], { env: { PATH: folder, HOME: '/nobody' }, cwd: folder, stdio: 'ignore' });
    const lines = readFileSync(record, 'utf8').split('\0\n').slice(0, -1);
    return lines.map((line) => line.split('\0'));
  };
  const shells = ['/bin/sh', '/bin/bash'].filter((shell) => spawnSync(shell, ['-c', 'exit 0']).status === 0);

  test('what is read runs just so, with just that argument and nothing else', () => {
    const letter = fc.constantFrom(...'ab/.git~-\' !;$`"\\|&<>()*?[]{}#=%,:@+^\n\t'.split(''));
    const mild = fc.constantFrom(..."ab/.~-' !".split(''));
    const word = fc.oneof(
      fc.array(mild, { maxLength: 8 }).map((letters) => quoted(letters.join(''))),
      fc.array(letter, { maxLength: 12 }).map((letters) => quoted(letters.join(''))),
      fc.array(letter, { maxLength: 12 }).map((letters) => letters.join('')),
      fc.constantFrom("'acme/api.git'", 'acme/api', "'/a'\\''b'", "'a'\\!'b'"),
    );
    const program = fc.constantFrom(...PROGRAMS, 'git upload-pack', 'git receive-pack', 'git');
    const tail = fc.constantFrom('', '', ' upload', ' download', ' --', ';id', '\nid', ' $(id)');
    let read = 0;
    fc.assert(
      fc.property(fc.tuple(program, word, tail, fc.constantFrom(...shells)), ([name, argument, rest, shell]) => {
        const command = `${name} ${argument}${rest}`;
        const facts = readGitCommand(command);
        if (facts === undefined || facts === 'unclear') return;
        read += 1;
        const operation = /^git-lfs/.test(name) ? [facts.push ? 'upload' : 'download'] : [];
        const [first, ...others] = name.split(' ');
        expect(runIn(shell, command)).toEqual([[first, ...others, facts.argument, ...operation]]);
        expect(facts.program).toBe(name.replace(' ', '-'));
      }),
      { numRuns: 2500 },
    );
    expect(read).toBeGreaterThan(100);
  });

  test.skipIf(!hasGit)('what git itself asks for is read', async () => {
    const paths = ['/acme/api.git', '/acme/api', "/it's/api", '/wow!/api', '/~alice/api.git', '/~/api', '/a b/c'];
    const fake = join(folder, 'fake-ssh');
    writeFileSync(fake, `#!/bin/sh\nfor last; do :; done\nprintf '%s' "$last" > ${join(folder, 'asked')}\nexit 1\n`);
    chmodSync(fake, 0o755);
    const found: unknown[] = [];
    for (const path of paths) {
      const env = { ...process.env, GIT_SSH: fake, GIT_SSH_VARIANT: 'ssh' };
      const url = `ssh://host${path.replaceAll(' ', '%20')}`;
      await promisify(execFile)('git', ['ls-remote', url], { env }).catch(() => undefined);
      const asked = readGitCommand(readFileSync(join(folder, 'asked'), 'utf8'));
      found.push(typeof asked === 'object' ? asked.repository : asked);
    }
    expect(found).toEqual(['acme/api', 'acme/api', "it's/api", 'wow!/api', '~alice/api', 'api', 'a b/c']);
    expect(execFileSync('git', ['rev-parse', '--sq-quote', "it's!"]).toString()).toBe(` ${quoted("it's!")}\n`);
  });
});
