import { Type, type Static } from '../../schema.ts';
import { defineProvider } from '../provider.ts';
import { AwsStore } from './aws-store.ts';
import { CHAIN_IDS, parseChainId } from './chain-id.ts';
import { ChainProperties } from './options.ts';
import { FIELDS } from './sdk.ts';

const Options = Type.Object(ChainProperties, { additionalProperties: false });
export type AwsOptions = Static<typeof Options>;

/** AWS credentials from where programs of AWS find theirs. */
export const awsCredentials = defineProvider({
  name: 'aws-credentials',
  config: Options,
  fields: FIELDS,
  checkId(id) {
    if (parseChainId(id) !== undefined) return undefined;
    return `write ${CHAIN_IDS}`;
  },
  open: (options) => new AwsStore(options),
});
