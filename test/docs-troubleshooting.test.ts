import { expect, test } from 'vitest';
import { sqlstateOf } from '../connectors/postgres/sqlstate.ts';
import { ERRORS, type ErrorCode } from '../src/error.ts';
import { document, section } from './documents.ts';

const page = document('docs/troubleshooting.md').text;
const codes = Object.keys(ERRORS) as ErrorCode[];

const GROUPS = [
  ['policy', '## Policy said no'],
  ['provider', '## The credential'],
  ['downstream', '## What the agent sent'],
  ['upstream', '## The upstream'],
  ['config', '## The configuration'],
  ['internal', '## The sidecar itself'],
] as const;

/** Entries of a text, by code. */
function entries(text: string): Map<string, string> {
  const found = [...text.matchAll(/^### `([^`]+)`\n\n([\s\S]*?)(?=^#|$(?![\s\S]))/gm)];
  return new Map(found.map(([, code, body]) => [code!, body!.trim()]));
}

/** What is wrong with the entry of a code. */
function faultsOf(code: ErrorCode, entry: string | undefined): string[] {
  if (entry === undefined) return ['there is no entry'];
  const { sentence, status } = ERRORS[code];
  const [quote, heard, causes, deeds] = entry.split(/\n\n|\n(?=- )/);
  const sqlstate = sqlstateOf(code);
  const isSpoken = sqlstate !== 'XX000' || code === 'internal';
  return [
    ...(quote === `> ${sentence}` ? [] : [`the sentence is: ${sentence}`]),
    ...(heard === `HTTP ${status}${isSpoken ? `, SQLSTATE \`${sqlstate}\`` : ''}.`
      ? []
      : ['it is heard as something else']),
    ...(/^- Cause: .{20}/.test(causes ?? '') ? [] : ['no cause']),
    ...(/^- Do: .{15}/.test(deeds ?? '') ? [] : ['nothing to do']),
  ];
}

test.each(codes)(
  'the entry of %s quotes its sentence, and says how it looks, where it comes from and what to do',
  (code) => {
    expect(faultsOf(code, entries(page).get(code))).toEqual([]);
  },
);

test('every entry is of a code that exists, and each code has one', () => {
  const found = [...page.matchAll(/^### `([^`]+)`$/gm)].map(([, code]) => code!);
  expect(found.sort()).toEqual([...codes].sort());
});

test.each(GROUPS)('codes of the fault %s stand under %s', (fault, heading) => {
  const own = codes.filter((code) => ERRORS[code].fault === fault);
  expect([...entries(section(page, heading)).keys()].sort()).toEqual(own.sort());
});

test('an entry with another sentence, another status or nothing to do is found', () => {
  const good = entries(page).get('policy-denied')!;
  expect(faultsOf('policy-denied', good)).toEqual([]);
  expect(faultsOf('policy-denied', good.replace('allow', 'permit'))).toEqual([
    'the sentence is: policy does not allow this use',
  ]);
  expect(faultsOf('policy-denied', good.replace('403', '401'))).toEqual(['it is heard as something else']);
  expect(faultsOf('policy-denied', good.replace('42501', '42502'))).toEqual(['it is heard as something else']);
  expect(faultsOf('policy-denied', good.replace(/- Do:[^]*/, ''))).toEqual(['nothing to do']);
  expect(faultsOf('policy-denied', undefined)).toEqual(['there is no entry']);
});
