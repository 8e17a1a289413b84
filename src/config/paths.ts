import { dirname, resolve } from 'node:path';

/** A path of the configuration, made absolute: relative ones start from the folder of the file. */
export function resolveIn(file: string, path: string): string {
  return resolve(dirname(file), path);
}
