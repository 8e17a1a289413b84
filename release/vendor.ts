import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fitSource, SSH2_FILES, SSH2_VERSION } from '../connectors/ssh/transport/ssh2-source.ts';

/**
 * `npm run build`: puts the JavaScript of ssh2 into `dist/vendor/ssh2`, where `#ssh2/` of package.json leads a build. As
 * a dependency it would run an install script and bring three packages more, for native code that is not used here.
 */
const FOLDER = dirname(createRequire(import.meta.url).resolve('ssh2/package.json'));
const ADDON = 'lib/protocol/crypto/build/Release';
const TO = resolve(import.meta.dirname, '../dist/vendor/ssh2');

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly main: string;
  readonly repository: unknown;
}

const manifest = JSON.parse(readFileSync(join(FOLDER, 'package.json'), 'utf8')) as Manifest;
if (manifest.version !== SSH2_VERSION) throw new Error(`ssh2 ${manifest.version} is installed, not ${SSH2_VERSION}`);
// Throws where a file is not the published one.
for (const file of SSH2_FILES) fitSource(file, readFileSync(join(FOLDER, 'lib/protocol', file), 'utf8'));

rmSync(TO, { recursive: true, force: true });
mkdirSync(TO, { recursive: true });
cpSync(join(FOLDER, 'lib'), join(TO, 'lib'), {
  recursive: true,
  // What `crypto/` has besides is the source of the addon, and what was built of it.
  filter: (from) => !/crypto[\\/](?:build|src|binding\.gyp)/.test(relative(FOLDER, from)),
});
// That of `npm run addon`, which has its mark: it is for this machine, and not packed.
for (const file of existsSync(join(FOLDER, ADDON, 'secretless.json')) ? ['secretless.json', 'sshcrypto.node'] : []) {
  cpSync(join(FOLDER, ADDON, file), join(TO, ADDON, file), { dereference: true });
}
cpSync(join(FOLDER, 'LICENSE'), join(TO, 'LICENSE'));
const { name, version, main, repository } = manifest;
writeFileSync(
  join(TO, 'package.json'),
  `${JSON.stringify({ name, version, license: 'MIT', main, repository }, null, 2)}\n`,
);
