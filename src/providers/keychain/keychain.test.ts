import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keychain, openKeychain } from './index.ts';

const never = new AbortController().signal;
const originalPath = process.env['PATH'];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keychain-'));
  process.env['PATH'] = `${folder}${delimiter}${originalPath}`;
});
afterEach(() => {
  process.env['PATH'] = originalPath;
  rmSync(folder, { recursive: true });
});

/** A stand-in for the tool of a platform, found on PATH as the real one is. It writes down its arguments. */
function install(tool: string, script: string): void {
  const path = join(folder, tool);
  writeFileSync(path, `#!/bin/sh\nprintf '%s\\n' "$@" > "${folder}/arguments"\n${script}\n`);
  chmodSync(path, 0o755);
}

function argumentsSeen(): string[] {
  return readFileSync(join(folder, 'arguments'), 'utf8').trimEnd().split('\n');
}

async function fetchText(platform: string, id: string): Promise<string> {
  const { secret } = await openKeychain({}, platform).fetch(id, never);
  return secret.expose((bytes) => bytes.toString());
}

describe('on Linux', () => {
  it('secret-tool is asked for the service and the account', async () => {
    install('secret-tool', 'printf %s "s3cret value"');
    expect(await fetchText('linux', 'my service#me@example.com')).toBe('s3cret value');
    expect(argumentsSeen()).toEqual(['lookup', 'service', 'my service', 'account', 'me@example.com']);
  });

  it('an item that is not there is missing', async () => {
    install('secret-tool', 'exit 1');
    await expect(fetchText('linux', 'a#b')).rejects.toMatchObject({ code: 'credential-missing' });
  });

  it('a keychain that cannot be reached is unavailable, with the reason', async () => {
    install('secret-tool', 'echo "secret-tool: Cannot autolaunch D-Bus without X11 $DISPLAY" >&2; exit 1');
    await expect(fetchText('linux', 'a#b')).rejects.toMatchObject({
      code: 'credential-unavailable',
      detail: expect.stringContaining('Cannot autolaunch D-Bus') as string,
    });
  });

  it('without secret-tool the error says what to install', async () => {
    process.env['PATH'] = folder;
    await expect(fetchText('linux', 'a#b')).rejects.toMatchObject({
      code: 'provider-tool-missing',
      detail: expect.stringContaining('libsecret-tools') as string,
    });
  });
});

describe('on macOS', () => {
  it('security is asked for the generic password', async () => {
    install('security', 'echo s3cret');
    expect(await fetchText('darwin', 'maps#api-key')).toBe('s3cret');
    expect(argumentsSeen()).toEqual(['find-generic-password', '-w', '-s', 'maps', '-a', 'api-key']);
  });

  it('an item that is not there is missing', async () => {
    install('security', 'echo "The specified item could not be found in the keychain." >&2; exit 44');
    await expect(fetchText('darwin', 'a#b')).rejects.toMatchObject({ code: 'credential-missing' });
  });

  it('a locked keychain is unavailable', async () => {
    install('security', 'echo "User interaction is not allowed." >&2; exit 36');
    await expect(fetchText('darwin', 'a#b')).rejects.toMatchObject({ code: 'credential-unavailable' });
  });
});

it('another platform has no keychain', async () => {
  await expect(fetchText('win32', 'a#b')).rejects.toMatchObject({ code: 'provider-tool-missing' });
});

it('an id is service#account and nothing else', async () => {
  install('secret-tool', 'echo never');
  for (const id of ['', 'a', 'a#', '#b', 'a#b#c', '-x#b', 'a#--all', 'a\0#b']) {
    expect(keychain.checkId!(id), id).toBeTypeOf('string');
    await expect(fetchText('linux', id)).rejects.toMatchObject({ code: 'credential-missing' });
  }
  expect(keychain.checkId!('service#account')).toBeUndefined();
});
