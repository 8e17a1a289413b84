import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { AUTHORITY_FILE } from '../../certificate/interception.ts';
import { writeTrust, type TrustFiles } from '../../certificate/trust.ts';
import type { TrustPaths } from './trust-variables.ts';

/** The files that make programs trust a running sidecar; undefined where it intercepts nothing. */
export async function trustPaths(
  stateFolder: string,
  own: string,
  env: NodeJS.ProcessEnv,
): Promise<TrustPaths | undefined> {
  const authority = join(stateFolder, AUTHORITY_FILE);
  if (!existsSync(authority)) return undefined;
  const files = await writeTrust(stateFolder, readFileSync(authority, 'utf8'), env);
  return { ...files, extra: await extraAuthorities(files, own, env) };
}

/** Ours; with those that were added for Node before, since it reads one file. */
async function extraAuthorities({ ca }: TrustFiles, own: string, env: NodeJS.ProcessEnv): Promise<string> {
  const before = env['NODE_EXTRA_CA_CERTS'];
  if (before === undefined || before === ca || !existsSync(before)) return ca;
  const path = join(own, 'extra-ca.pem');
  await writePrivate(path, `${readFileSync(before, 'utf8').trimEnd()}\n${readFileSync(ca, 'utf8')}`);
  return path;
}

/**
 * The settings of wget, which reads no variable but that of this file: what it would read without us, and our bundle
 * behind it (wgetrc, "Wgetrc Location").
 */
export async function wgetSettings(own: string, bundle: string, env: NodeJS.ProcessEnv): Promise<string> {
  const present = env['WGETRC'] ?? join(env['HOME'] ?? homedir(), '.wgetrc');
  const before = existsSync(present) ? `${readFileSync(present, 'utf8').trimEnd()}\n` : '';
  const path = join(own, 'wgetrc');
  await writePrivate(path, `${before}ca_certificate = ${bundle}\n`);
  return path;
}

async function writePrivate(path: string, text: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  await writeFile(aside, text, { mode: 0o600, flag: 'wx' });
  await rename(aside, path);
}
