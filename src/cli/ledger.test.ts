import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runCli } from './dispatch.ts';
import { eventText } from './ledger-text.ts';
import { recordedIo } from './testdata/recorded-io.ts';

function stateFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ledger-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function run(words: string[], changes: Parameters<typeof recordedIo>[0] = {}) {
  const io = recordedIo(changes);
  const code = await runCli(['ledger', ...words], io);
  return { code, out: io.out(), err: io.err() };
}

test('verify of a file that is not there fails', async () => {
  const folder = stateFolder();
  expect(await run(['verify'], { env: { SECRETLESS_HOME: folder } })).toMatchObject({
    code: 70,
    out: `${join(folder, 'ledger.jsonl')}: there is no ledger\n`,
  });
});

test('verify of something that is no ledger names the line', async () => {
  const file = join(stateFolder(), 'l.jsonl');
  writeFileSync(file, '{"time":"forged"}\n');
  const { code, out } = await run(['verify', file]);
  expect(code).toBe(70);
  expect(out).toContain('NOT GOOD');
  expect(out).toContain(`${file}:1: `);
  expect(JSON.parse((await run(['verify', file, '--json'])).out)).toMatchObject({ ok: false });
});

test('tail shows the newest lines: text for a person, the lines themselves in a pipe', async () => {
  const file = join(stateFolder(), 'l.jsonl');
  writeFileSync(file, '{"seq":1,"type":"a"}\n{"seq":2,"type":"b"}\n{"seq":3,"type":"c"}\n');
  expect((await run(['tail', file, '-n', '2'])).out).toBe('2 b\n3 c\n');
  expect((await run(['tail', file, '-n', '1'], { isTTY: false })).out).toBe('{"seq":3,"type":"c"}\n');
  expect((await run(['tail', file, '-n', '1', '--json'])).out).toBe('{"seq":3,"type":"c"}\n');
});

test('tail --follow ends with its signal', async () => {
  const file = join(stateFolder(), 'l.jsonl');
  writeFileSync(file, '{"seq":1,"type":"a"}\n');
  const end = new AbortController();
  const io = recordedIo();
  const stdout = {
    write(text: string): void {
      io.stdout.write(text);
      end.abort();
    },
  };
  expect(await runCli(['ledger', 'tail', file, '--follow'], { ...io, stdout, signal: end.signal })).toBe(0);
  expect(io.out()).toBe('1 a\n');
});

test.each([[[]], [['verfy']], [['tail', 'f', '--lines', 'x']]])('%j is a usage error', async (words) => {
  expect((await run(words)).code).toBe(64);
});

test('an event is one line for a person', () => {
  const event = {
    time: 't',
    seq: 4,
    type: 'decision',
    service: 'github',
    principal: { agent: 'reviewer', attested: 'listener' },
    result: 'deny',
    reason: 'no rule\n\u001b[2J',
    prev: 'ff',
  };
  expect(eventText(JSON.stringify(event))).toBe(
    't 4 decision github deny agent=reviewer reason="no rule\\n\\u001b[2J"\n',
  );
  expect(eventText('not json\u001b')).toBe('not json\\u001b\n');
});
