import { Type } from '../../schema.ts';
import { defineProvider } from '../provider.ts';
import { FileStore } from './file-store.ts';

/** The whole content of a file, read again when it changes. */
export const file = defineProvider({
  name: 'file',
  config: Type.Object({}, { additionalProperties: false }),
  checkId(id) {
    if (id === '') return 'the path of a file is needed';
    if (id.includes('\0')) return 'a path has no NUL';
    return undefined;
  },
  open: () => new FileStore(process.cwd()),
});
