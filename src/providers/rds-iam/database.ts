import { REGION_PATTERN } from '../aws-credentials/options.ts';

/** What a login token is for. */
export interface Database {
  readonly user: string;
  /** In lower case, as it is signed. */
  readonly host: string;
  readonly port: number;
  readonly region?: string;
}

const HOST = /^[a-z0-9]([a-z0-9.-]{0,252})$/;
const USER_CHARACTERS_MAX = 128;
/** Endpoints of RDS name their region: `name.xyz.eu-west-1.rds.amazonaws.com`, in China with `.cn` at the end. */
const RDS_HOST = /\.([a-z]{2}(?:-[a-z]+)+-\d)\.rds\.amazonaws\.com(?:\.cn)?$/;

/** Reads `user@host:port`, with `?region=` where the host does not name it; undefined where it is not that. */
export function parseDatabase(id: string): Database | undefined {
  const parts = /^(.+)@([^@:/?]+):(\d{1,5})(?:\?region=([^?&]+))?$/s.exec(id);
  if (parts === null) return undefined;
  const [, user = '', written = '', digits, given] = parts;
  const host = written.toLowerCase();
  const port = Number(digits);
  const region = given ?? RDS_HOST.exec(host)?.[1];
  // eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  if (user.length > USER_CHARACTERS_MAX || /[\u0000-\u001f]/.test(user)) return undefined;
  if (!HOST.test(host) || port < 1 || port > 65_535) return undefined;
  if (region !== undefined && !new RegExp(REGION_PATTERN).test(region)) return undefined;
  return { user, host, port, ...(region === undefined ? {} : { region }) };
}
