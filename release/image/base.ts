import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Bind } from './confine.ts';

/** What `gcr.io/distroless/cc-debian12` is made of: packages of Debian, unpacked and not installed. */
const PACKAGES = [
  ...['base-files', 'netbase', 'tzdata', 'media-types', 'ca-certificates'],
  ...['libc6', 'libssl3', 'libgcc-s1', 'libgomp1', 'libstdc++6', 'gcc-12-base'],
];
const NONROOT = 65_532;

/**
 * A folder with the same files as the base of the final stage, from the same packages, for machines that reach a mirror
 * of Debian and no registry of images. Throws where apt cannot fetch them: outside Debian 12.
 */
export function makeDistroless(root: string, scratch: string): void {
  rmSync(root, { recursive: true, force: true });
  const packages = mkdtempSync(join(scratch, 'packages-'));
  execFileSync('apt-get', ['download', '-qq', '-o', 'APT::Sandbox::User=root', ...PACKAGES], {
    cwd: packages,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  mkdirSync(root, { recursive: true });
  for (const file of readdirSync(packages)) execFileSync('dpkg-deb', ['-x', join(packages, file), root]);
  rmSync(packages, { recursive: true });
  chmodSync(root, 0o755);
  for (const folder of [
    'usr/share/doc',
    'usr/share/man',
    'usr/share/bug',
    'usr/share/lintian',
    'usr/sbin',
    'sbin',
    'boot',
  ]) {
    rmSync(join(root, folder), { recursive: true, force: true });
  }
  writeAuthorities(root);
  const user = (name: string, id: number, home: string): string =>
    `${name}:x:${id}:${id}:${name}:${home}:/sbin/nologin\n`;
  writeFileSync(join(root, 'etc/passwd'), user('root', 0, '/root') + user('nonroot', NONROOT, '/home/nonroot'));
  writeFileSync(join(root, 'etc/group'), `root:x:0:\nnonroot:x:${NONROOT}:\n`);
}

/** What the script of the package ca-certificates would do, had there been a shell. */
function writeAuthorities(root: string): void {
  const folder = join(root, 'usr/share/ca-certificates/mozilla');
  const texts = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  mkdirSync(join(root, 'etc/ssl/certs'), { recursive: true });
  writeFileSync(join(root, 'etc/ssl/certs/ca-certificates.crt'), texts.join(''));
}

/** Where the tools of this machine are shown to the stages that build. */
export const TOOLS: readonly Bind[] = ['/usr/bin', '/usr/lib', '/usr/lib64', '/usr/share', '/etc']
  .filter((folder) => existsSync(folder))
  .map((folder) => ({ from: folder, to: folder, readOnly: true }));

/**
 * A folder for the stages that build: the tools of this machine by bind mounts, and below `/usr/local` a Node and an npm,
 * as the image of Node has them.
 */
export function makeToolbox(root: string, node: string, npm: string): void {
  rmSync(root, { recursive: true, force: true });
  for (const folder of ['usr/local/bin', 'usr/local/lib/node_modules', 'root', 'proc', 'dev', 'tmp', 'var']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  chmodSync(join(root, 'tmp'), 0o1777);
  for (const folder of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${folder}`, join(root, folder));
  copyFileSync(node, join(root, 'usr/local/bin/node'));
  cpSync(npm, join(root, 'usr/local/lib/node_modules/npm'), { recursive: true });
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(root, 'usr/local/bin/npm'));
}
