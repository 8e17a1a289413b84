import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { clientFindings } from './try-clients.ts';

/** Findings with nothing on PATH but these programs: scripts, or links to what is installed. */
async function findings(programs: Readonly<Record<string, string | null>>) {
  const folder = mkdtempSync(join(tmpdir(), 'clients-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, script] of Object.entries(programs)) {
    if (script === null)
      symlinkSync(execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim(), join(folder, name));
    else writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  return clientFindings({ HOME: folder, PATH: folder });
}

const CURL = execFileSync('sh', ['-c', 'command -v curl || true'], { encoding: 'utf8' }).trim();

test('a client that comes through the proxy and trusts us is good, and none leaves a finding where none is', async (context) => {
  if (CURL === '') context.skip('curl is not installed');
  expect(await findings({ curl: null })).toEqual([{ name: 'curl', verdict: 'good' }]);
  expect(await findings({})).toEqual([]);
});

test('a client that trusts other authorities is wrong, in its own words and with the variable that it reads', async (context) => {
  if (CURL === '') context.skip('curl is not installed');
  const [finding] = await findings({ curl: `CURL_CA_BUNDLE=/etc/hosts SSL_CERT_FILE=/etc/hosts exec ${CURL} "$@"` });
  expect(finding).toMatchObject({ name: 'curl', verdict: 'wrong' });
  expect(finding!.next).toMatch(/^it said: curl: .*cert.*; let CURL_CA_BUNDLE name \//i);
});

test('a client that ignores the proxy is wrong, and does not find the name', async (context) => {
  if (CURL === '') context.skip('curl is not installed');
  const [finding] = await findings({ curl: `exec ${CURL} --noproxy '*' "$@"` });
  expect(finding).toMatchObject({ verdict: 'wrong' });
  expect(finding!.next).toMatch(/resolve.*secretless run/);
});

test('one that lacks a part of itself says nothing, and one that works elsewhere is apart', async () => {
  const found = await findings({ python3: `echo "No module named 'requests'" >&2; exit 1`, docker: 'exit 1' });
  expect(found.map(({ name, verdict }) => [name, verdict])).toEqual([
    ['python3 urllib', 'wrong'],
    ['docker', 'apart'],
  ]);
});
