/** One instance of a Cloud SQL Auth Proxy command line. */
export interface Instance {
  readonly project: string;
  readonly region: string;
  readonly name: string;
  /** Settings of its own, behind the `?`. */
  readonly settings: ReadonlyMap<string, string>;
}

/** `project:region:name?key=value`; a project of a domain has a colon of its own. Undefined for anything else. */
export function readInstance(word: string): Instance | undefined {
  const [, project, region, name, query = ''] =
    /^((?:[a-z0-9.-]+:)?[a-z0-9-]+):([a-z0-9-]+):([a-z0-9-]+)(?:\?(.*))?$/.exec(word) ?? [];
  if (project === undefined || region === undefined || name === undefined) return undefined;
  return { project, region, name, settings: new Map(new URLSearchParams(query)) };
}

/** The beginning of the names of its variables: `my-db` is `MY_DB`. */
export function variableOf({ name }: Instance): string {
  const word = name.toUpperCase().replaceAll('-', '_');
  return /^\d/.test(word) ? `DB_${word}` : word;
}
