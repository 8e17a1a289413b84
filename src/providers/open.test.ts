import { expect, it } from 'vitest';
import { Type } from '../schema.ts';
import type { SecretStore } from '../credential/store.ts';
import { openStores } from './open.ts';
import { defineProvider } from './provider.ts';

function recorder(closing: () => Promise<void> = async () => {}) {
  const seen: string[] = [];
  const provider = defineProvider({
    name: 'fake',
    config: Type.Object({ path: Type.Optional(Type.String()) }, { additionalProperties: false }),
    open({ path = 'default' }): SecretStore {
      if (path === 'bad') throw new Error('cannot open');
      seen.push(`open ${path}`);
      return {
        fetch: () => Promise.reject(new Error('never')),
        close: () => (seen.push(`close ${path}`), closing()),
      };
    },
  });
  return { seen, catalog: [provider] };
}

it('a configured store is open at once, a plain name when it is first used, each of them once', () => {
  const { seen, catalog } = recorder();
  const { store } = openStores({ mine: { type: 'fake', options: { path: 'x' } } }, catalog);
  expect(seen).toEqual(['open x']);
  expect(store('fake')).toBe(store('fake'));
  expect(store('mine')).toBe(store('mine'));
  expect(store('mine')).not.toBe(store('fake'));
  expect(seen).toEqual(['open x', 'open default']);
});

it('a configured store may take the name of its type', () => {
  const { seen, catalog } = recorder();
  openStores({ fake: { type: 'fake', options: { path: 'x' } } }, catalog).store('fake');
  expect(seen).toEqual(['open x']);
});

it('one that cannot be opened closes those that were', () => {
  const { seen, catalog } = recorder();
  const configs = { a: { type: 'fake', options: { path: 'x' } }, b: { type: 'fake', options: { path: 'bad' } } };
  expect(() => openStores(configs, catalog)).toThrow('not valid');
  expect(seen).toEqual(['open x', 'close x']);
});

it('a name that is neither configured nor a provider is refused', () => {
  const { store } = openStores({});
  for (const name of ['vaultt', 'constructor', '__proto__', '']) expect(() => store(name)).toThrow('no provider');
});

it('closing closes all, even where one of them fails, and nothing opens after it', async () => {
  const { seen, catalog } = recorder(() => Promise.reject(new Error('stuck')));
  const { store, close } = openStores({ mine: { type: 'fake', options: { path: 'x' } } }, catalog);
  store('fake');
  await close();
  await close();
  expect(seen).toEqual(['open x', 'open default', 'close x', 'close default']);
  expect(() => store('fake')).toThrow('shutting down');
});
