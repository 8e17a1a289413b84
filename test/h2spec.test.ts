import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { startApi } from './http-kit.ts';
import { startUpstream, temporaryFolder } from './rig.ts';

/**
 * h2spec against a listener that is spoken to with prior knowledge: every case of its groups `generic`, `http2` and
 * `hpack`. To have it: `go install github.com/summerwind/h2spec/cmd/h2spec@latest`.
 */

/** Cases that do not apply, each with the reason. */
const CLOSED =
  'RFC 9113 section 5.1 leaves it to the endpoint; nghttp2 ignores frames of streams that it has forgotten';
const PRIORITY = 'RFC 9113 section 5.3.2 took priorities out; nghttp2 skips the frame';
const EXEMPT: Readonly<Record<string, string>> = {
  'http2/3.5 Sends invalid connection preface': 'what does not begin with the preface is HTTP/1.1 on this port: 400',
  'http2/5.1 closed: Sends a DATA frame after sending RST_STREAM frame': CLOSED,
  'http2/5.1 closed: Sends a HEADERS frame after sending RST_STREAM frame': CLOSED,
  'http2/5.1 closed: Sends a DATA frame': CLOSED,
  'http2/5.1 closed: Sends a HEADERS frame': CLOSED,
  'http2/5.1.1 Sends stream identifier that is numerically smaller than previous': CLOSED,
  'http2/5.3.1 Sends PRIORITY frame that depend on itself': PRIORITY,
  'http2/6.3 Sends a PRIORITY frame with 0x0 stream identifier': PRIORITY,
  'http2/6.7 Sends a PING frame with ACK':
    'node is stricter: a PING nobody sent is not acknowledged but ends the connection',
  'http2/6.9.1 Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream':
    'node is stricter: it ends the connection, not the stream alone',
};

function findH2spec(): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  try {
    folders.push(join(execFileSync('go', ['env', 'GOPATH'], { encoding: 'utf8' }).trim(), 'bin'));
  } catch {
    // Without Go it may still be on the path.
  }
  return folders.map((folder) => join(folder, 'h2spec')).find((file) => existsSync(file));
}

const h2spec = findH2spec();

interface Case {
  readonly name: string;
  readonly failed: boolean;
  readonly skipped: boolean;
}

/** Cases of a JUnit report as h2spec writes it. */
function casesOf(report: string): Case[] {
  const found = report.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*?(?:\/>|>(.*?)<\/testcase>)/gs);
  return [...found].map(([, section, name, inside = '']) => ({
    name: `${section!} ${name!.replaceAll('&#39;', "'").replaceAll('&#34;', '"').replaceAll('&amp;', '&')}`,
    failed: /<(failure|error)/.test(inside),
    skipped: inside.includes('<skipped'),
  }));
}

test.skipIf(h2spec === undefined)(
  `HTTP/2 of a listener is what h2spec asks for${h2spec === undefined ? ' (skipped: h2spec is not installed)' : ''}`,
  { timeout: 180_000 },
  async () => {
    const upstream = await startUpstream();
    const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
    const report = join(temporaryFolder(), 'report.xml');
    const groups = ['generic', 'http2', 'hpack'];
    await new Promise((resolve, reject) => {
      const child = spawn(h2spec!, [...groups, '-h', '127.0.0.1', '-p', String(port), '-o', '3', '-j', report]);
      child.once('error', reject).once('close', resolve);
    });
    const cases = casesOf(readFileSync(report, 'utf8'));
    expect(cases.length).toBeGreaterThan(140);
    const failed = cases.filter(({ failed }) => failed).map(({ name }) => name);
    expect(failed.filter((name) => EXEMPT[name] === undefined)).toEqual([]);
    // What node learns is taken off the list.
    expect(Object.keys(EXEMPT).filter((name) => !failed.includes(name))).toEqual([]);
    console.log(cases.filter(({ skipped }) => skipped).map(({ name }) => name));
  },
);
