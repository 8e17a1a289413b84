import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const here = import.meta.dirname;
const root = join(here, '../../..');

/** Which packages a process of its own has loaded once it opened every store and fetched from one of them. */
async function packagesLoadedBy(from: string, get: string): Promise<string[]> {
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = new Set();
    registerHooks({ load: (url, context, next) => {
      const found = /\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)\\//.exec(url);
      if (found) loaded.add(found[1]);
      return next(url, context);
    } });
    await import(${JSON.stringify(join(root, 'src/main.ts'))});
    const { providers } = await import(${JSON.stringify(join(root, 'src/providers/index.ts'))});
    for (const provider of providers) provider.open({});
    const store = providers.find(({ name }) => name === process.argv[1]).open({});
    await store.fetch(process.argv[2], new AbortController().signal);
    console.log(JSON.stringify([...loaded]));`;
  const environment = {
    PATH: process.env['PATH'],
    AWS_REGION: 'r',
    AWS_ACCESS_KEY_ID: 'a',
    AWS_SECRET_ACCESS_KEY: 'b',
  };
  const argv = ['--conditions=secretless-source', '--input-type=module', '--eval', script, from, get];
  const { stdout } = await promisify(execFile)(process.execPath, argv, { env: environment, cwd: root });
  return JSON.parse(stdout) as string[];
}

const isOfSdk = (name: string) => name.startsWith('@aws-sdk/') || name.startsWith('@smithy/');

it('the SDK is loaded by the first use of AWS, and by nothing before it', async () => {
  const [without, withAws] = await Promise.all([
    packagesLoadedBy('literal', 'x'),
    packagesLoadedBy('aws-credentials', 'environment'),
  ]);
  expect(without).toContain('yaml');
  expect(without.filter(isOfSdk)).toEqual([]);
  expect(withAws.filter(isOfSdk)).toContain('@aws-sdk/credential-providers');
}, 30_000);
