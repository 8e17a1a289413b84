import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatLine, GENESIS } from './line.ts';
import { printableText } from './printable-text.ts';
import { decision } from './testdata/sample.ts';

test.each([
  ["git-upload-pack 'org/repo.git'", "git-upload-pack 'org/repo.git'"],
  ['grün 日本 😀', 'grün 日本 😀'],
  ['a\nb\tc\x1b[2K\x7f\0', String.raw`a\x0ab\x09c\x1b[2K\x7f\x00`],
  ['caf\udce9', String.raw`caf\xe9`],
  ['\u0085\u202e\u2028', String.raw`\xc2\x85\xe2\x80\xae\xe2\x80\xa8`],
  ['\ud800', String.raw`\xed\xa0\x80`],
  [String.raw`a\x0a \n C:\x`, String.raw`a\x5cx0a \n C:\x`],
])('%j is shown as %s', (text, shown) => {
  expect(printableText(text)).toBe(shown);
});

test('what is shown is printable, and no two texts are shown alike', () => {
  const back = (shown: string): string =>
    shown.replace(/(?:\\x[0-9a-f]{2})+/g, (run) => {
      const bytes = Buffer.from(run.replaceAll('\\x', ''), 'hex');
      return bytes.toString('latin1');
    });
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii' }), (text) => {
      const shown = printableText(text);
      expect(shown).toMatch(/^[ -~]*$/);
      expect(back(shown)).toBe(text);
    }),
  );
});

test('a line shows a command, a user and a destination so, and cuts a long command', () => {
  const asked = {
    request: 'exec',
    user: 'a\x07',
    command: 'x\n'.repeat(1000),
    destination: 'db\x1b:22',
    forwarded: true,
  } as const;
  const line = formatLine(decision('c1', asked), 0, 1, GENESIS.hash);
  const { user, command, destination, request } = JSON.parse(line) as Record<string, string>;
  expect({ request, user, destination }).toEqual({
    request: 'exec',
    user: String.raw`a\x07`,
    destination: String.raw`db\x1b:22`,
  });
  expect(line).toContain(',"forwarded":true');
  expect(command).toMatch(/^(x\\x0a)+x?\\?x?0?a?…sha256:[0-9a-f]{12}$/);
  expect(Buffer.byteLength(command!)).toBeLessThan(512);
});
