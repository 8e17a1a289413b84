/** Where a client connects to: a server itself, or the sidecar in front of it. */
export interface Door {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Absent where the client holds nothing. */
  readonly password: string | undefined;
  readonly database: string;
  /** Folder of `.s.PGSQL.<port>`. */
  readonly socketFolder: string;
  /** PEM of the authority of the door's certificate; absent: the door has no TLS. */
  readonly ca: string | undefined;
}

/** Direct and through the sidecar; each has a database of its own, so that both can do the same at the same time. */
export interface Doors {
  readonly direct: Door;
  readonly sidecar: Door;
}

/** What one client does, and what must come of it. Names are unique in a list. */
export type Case<Place> = readonly [name: string, run: (place: Place) => unknown, expected: unknown];

/** A client's view of a door, with everything it opened. */
export interface Closable {
  close(): Promise<void>;
}

/** Why an outcome through the sidecar is another one, and which. */
export type Differences = Readonly<Record<string, { readonly why: string; readonly outcome: unknown }>>;

/** The error that a promise ends with, as plain fields; fails where it does not end with one. */
export async function failure<const Name extends string>(
  work: Promise<unknown>,
  ...fields: Name[]
): Promise<Record<string, unknown>> {
  const error = await work.then(
    () => undefined,
    (error: unknown) => error as Record<string, unknown>,
  );
  if (error === undefined) throw new Error('it did not fail');
  return Object.fromEntries(fields.map((field) => [field, error[field]]));
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
