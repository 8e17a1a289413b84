import { afterEach, expect, it } from 'vitest';
import { env } from './index.ts';

const never = new AbortController().signal;
const NAME = 'SECRETLESS_TEST_TOKEN';

afterEach(() => {
  delete process.env[NAME];
});

it('a variable is captured when it is first read', async () => {
  process.env[NAME] = 'first';
  const store = env.open({});
  const { secret, retained } = await store.fetch(NAME, never);
  process.env[NAME] = 'second';
  expect((await store.fetch(NAME, never)).secret).toBe(secret);
  expect(secret.expose((bytes) => bytes.toString())).toBe('first');
  expect(retained).toBe(true);
});

it('a variable may be empty', async () => {
  process.env[NAME] = '';
  expect((await env.open({}).fetch(NAME, never)).secret.length).toBe(0);
});

it('a variable that is not set is missing, and found once it is', async () => {
  const store = env.open({});
  await expect(store.fetch(NAME, never)).rejects.toMatchObject({ code: 'credential-missing' });
  process.env[NAME] = 'now';
  expect((await store.fetch(NAME, never)).secret.length).toBe(3);
});

it('a store opened by a reload finds the variable again', async () => {
  process.env[NAME] = 'value';
  const old = env.open({});
  await old.fetch(NAME, never);
  await old.close();
  const { secret } = await env.open({}).fetch(NAME, never);
  expect(secret.expose((bytes) => bytes.toString())).toBe('value');
});

it('what every object inherits is no variable', async () => {
  await expect(env.open({}).fetch('constructor', never)).rejects.toMatchObject({ code: 'credential-missing' });
});

it('a name that no variable can have is refused beforehand', () => {
  for (const id of ['', 'A=B', 'A\0']) expect(env.checkId!(id)).toBeTypeOf('string');
  expect(env.checkId!('API_KEY')).toBeUndefined();
});
