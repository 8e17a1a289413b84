import { fileURLToPath } from 'node:url';
import { HARD_KEYS } from '../door.ts';
import type { ToolPlace } from './place.ts';

const SCRIPT = fileURLToPath(new URL('boto.py', import.meta.url));

export const BOTO_S3 = ['put', 'get', 'hard_keys', 'listing', 'multipart', 'copy_and_delete', 'presign'] as const;
/** The server of these tests knows no signatures of the second version. */
export const BOTO_SECOND_VERSION = 'presign_second_version';
export const BOTO_MESSAGES = ['dynamodb', 'sqs', 'sts'] as const;

/** Outcomes by step: `done`, or what went wrong. */
export async function runBoto(
  place: ToolPlace,
  python: string,
  steps: readonly string[],
  identity = '',
): Promise<Readonly<Record<string, string>>> {
  const { endpoints, bucket } = place.door;
  const settings = JSON.stringify({ endpoints, bucket, identity, steps, hardKeys: HARD_KEYS });
  const printed = (await place.run(python, [SCRIPT], settings)).trim().split('\n');
  const outcomes = printed.map((line) => JSON.parse(line) as { readonly step: string; readonly outcome: string });
  return Object.fromEntries(outcomes.map(({ step, outcome }) => [step, outcome]));
}

export function allDone(steps: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(steps.map((step) => [step, 'done']));
}
