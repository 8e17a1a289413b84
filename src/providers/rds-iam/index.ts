import { Type, type Static } from '../../schema.ts';
import { CHAIN_ID_PATTERN } from '../aws-credentials/chain-id.ts';
import { ChainProperties } from '../aws-credentials/options.ts';
import { defineProvider } from '../provider.ts';
import { parseDatabase } from './database.ts';
import { RdsStore } from './rds-store.ts';

const Options = Type.Object(
  {
    ...ChainProperties,
    base: Type.Optional(
      Type.String({ pattern: CHAIN_ID_PATTERN, description: 'Credentials that sign the token, as an id of `aws`' }),
    ),
  },
  { additionalProperties: false },
);
export type RdsOptions = Static<typeof Options>;

/** Login tokens of databases that know IAM: the password of one login. */
export const rdsIam = defineProvider({
  name: 'rds-iam',
  config: Options,
  checkId: (id) =>
    parseDatabase(id) === undefined ? 'write user@host:port, with ?region= where it is needed' : undefined,
  open: (options) => new RdsStore(options),
});
