import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fillPgbench, psql, type Client } from './clients.ts';
import type { Target } from './target.ts';

/** The rows that COPY moves, as a file too. */
export interface CopyRows {
  readonly file: string;
  /** Of the text format, which is what goes over the wire, five bytes of framing a row apart. */
  readonly bytes: number;
}

/** `rows` of some 232 bytes; the file goes into `folder`. */
export async function fillTables(
  client: Client,
  direct: Target,
  { scale, copyRows: rows }: { readonly scale: number; readonly copyRows: number },
  folder: string,
): Promise<CopyRows> {
  await fillPgbench(client, direct, scale);
  const file = join(folder, 'rows.tsv');
  await psql(client, direct, [
    `CREATE UNLOGGED TABLE copy_rows AS SELECT i, repeat(md5(i::text), 7) AS filler FROM generate_series(1, ${rows}) i`,
    'CREATE UNLOGGED TABLE copy_target (LIKE copy_rows)',
    'VACUUM ANALYZE',
    'CHECKPOINT',
    `\\copy copy_rows TO '${file}'`,
  ]);
  return { file, bytes: (await stat(file)).size };
}
