import { expect, it } from 'vitest';
import { literal } from './index.ts';

const never = new AbortController().signal;

it('the id is the value, byte for byte', async () => {
  const store = literal.open({});
  const { secret } = await store.fetch(' grüß\n', never);
  expect(secret.expose((bytes) => bytes.toString())).toBe(' grüß\n');
});

it('the same id is the same secret, which the store retains', async () => {
  const store = literal.open({});
  const first = await store.fetch('x', never);
  expect((await store.fetch('x', never)).secret).toBe(first.secret);
  expect(first.retained).toBe(true);
});

it('says that its ids are secrets, so that no error names one', () => {
  expect(literal.open({}).idIsSecret).toBe(true);
});

it('wipes what it handed out when it closes', async () => {
  const store = literal.open({});
  const { secret } = await store.fetch('x', never);
  await store.close();
  expect(secret.wiped).toBe(true);
});
