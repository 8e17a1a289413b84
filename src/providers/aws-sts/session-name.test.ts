import { expect, it } from 'vitest';
import { render, sessionName } from './session-name.ts';

it('a name that STS takes stays as it is', () => {
  for (const name of ['ab', 'reviewer', 'a.b+c=d,e@f-g_h', 'x'.repeat(64)]) expect(sessionName(name)).toBe(name);
});

it.each(['', 'a', 'a b', 'ä', 'team/agent', 'x'.repeat(65), 'x'.repeat(5000), '\n'])('%j becomes one', (text) => {
  expect(sessionName(text)).toMatch(/^[\w+=,.@-]{2,64}$/);
  expect(sessionName(text)).toBe(sessionName(text));
});

it('names that differ only in what is replaced or cut stay apart', () => {
  const long = 'x'.repeat(70);
  const names = ['a b', 'a/b', 'a-b', `${long}1`, `${long}2`].map(sessionName);
  expect(new Set(names).size).toBe(names.length);
});

it('a name is filled in once, whatever it holds', () => {
  expect(render('{agent}-{service}', { agent: '{service}', service: '{agent}' })).toBe('{service}-{agent}');
  expect(render('{agent}', { agent: '$&', service: 's' })).toBe('$&');
});
