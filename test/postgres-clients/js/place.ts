import postgres, { type Options, type Sql } from 'postgres';
import type { Case, Closable, Door } from '../case.ts';

export type JsCase = Case<JsPlace>;
export type JsOptions = Options<Record<string, never>>;

/** postgres.js at a door. */
export class JsPlace implements Closable {
  readonly door: Door;
  readonly #open: Sql[] = [];
  #sql: Sql | undefined;

  constructor(door: Door) {
    this.door = door;
  }

  options(more: object = {}): object {
    const { host, port, user, password, database } = this.door;
    const common = { max: 1, fetch_types: false, onnotice: () => undefined, backoff: () => 0.01 };
    return { host, port, user, database, ...(password === undefined ? {} : { password }), ...common, ...more };
  }

  /** Connections of their own; ended with the place. */
  open(more: object = {}): Sql {
    const sql = postgres(this.options(more) as never);
    this.#open.push(sql);
    return sql;
  }

  /** One connection, shared by the whole case. */
  get sql(): Sql {
    return (this.#sql ??= this.open());
  }

  /** First column of the first row. */
  async value(text: string, parameters: unknown[] = []): Promise<unknown> {
    const [row] = await this.sql.unsafe(text, parameters as never[]);
    return row === undefined ? undefined : (Object.values(row)[0] as unknown);
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.map((sql) => sql.end({ timeout: 1 })));
  }
}

export interface Pending<Given> {
  readonly promise: Promise<Given>;
  readonly resolve: (given: Given) => void;
}

/** A promise with its resolver. */
export function pending<Given>(): Pending<Given> {
  return Promise.withResolvers<Given>();
}
