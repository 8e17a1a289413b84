import { FIELDS } from '../aws-credentials/sdk.ts';
import { defineProvider } from '../provider.ts';
import { isRole, Options, problemOf } from './options.ts';
import { StsStore } from './sts-store.ts';

/** Sessions of a role, each agent its own. */
export const awsSts = defineProvider({
  name: 'aws-sts',
  config: Options,
  fields: FIELDS,
  checkId(id, options) {
    if (!isRole(id)) return 'write the ARN of a role: arn:aws:iam::123456789012:role/name';
    return options === undefined ? undefined : problemOf(options);
  },
  open: (options) => new StsStore(options),
});
