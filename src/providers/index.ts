import { awsCredentials } from './aws-credentials/index.ts';
import { awsSts } from './aws-sts/index.ts';
import { env } from './env/index.ts';
import { exec } from './exec/index.ts';
import { file } from './file/index.ts';
import { keychain } from './keychain/index.ts';
import { literal } from './literal/index.ts';
import type { Provider } from './provider.ts';
import { rdsIam } from './rds-iam/index.ts';

/** Every provider of this build: one line each, as the folder is named. */
export const providers: readonly Provider[] = [
  literal, //
  env,
  file,
  exec,
  keychain,
  awsCredentials,
  awsSts,
  rdsIam,
];
