/**
 * Operations whose answer holds a credential: AWS keys, a token or a signed URL that logs in by itself, a password, a
 * private key; from the output shapes in the service models of botocore 1.43.11. Not among them, as rules name them by
 * service and action like any other: what a user has stored to read it again (Secrets Manager, Parameter Store,
 * objects), data keys of KMS, and URLs of one report or object.
 */

/** Signing name and actions, for services that name the action in the request. */
const NAMED = `
  acm ExportCertificate
  appstream CreateAppBlockBuilderStreamingURL CreateImageBuilderStreamingURL CreateStreamingURL
  athena CreatePresignedNotebookUrl GetSessionEndpoint
  codepipeline GetJobDetails GetThirdPartyJobDetails PollForJobs PollForThirdPartyJobs
  cognito-identity GetCredentialsForIdentity GetOpenIdToken GetOpenIdTokenForDeveloperIdentity
  cognito-idp AddUserPoolClientSecret AdminInitiateAuth AdminRespondToAuthChallenge AssociateSoftwareToken
  cognito-idp CreateUserPoolClient DescribeUserPoolClient GetTokensFromRefreshToken InitiateAuth
  cognito-idp ListUserPoolClientSecrets RespondToAuthChallenge UpdateUserPoolClient
  ec2 CreateKeyPair ExportVerifiedAccessInstanceClientConfiguration GetPasswordData
  ecr GetAuthorizationToken
  ecr-public GetAuthorizationToken
  ecs ExecuteCommand
  elasticmapreduce GetClusterSessionCredentials GetOnClusterAppUIPresignedURL GetPersistentAppUIPresignedURL
  gamelift CreateBuild GetComputeAccess GetComputeAuthToken GetInstanceAccess RequestUploadCredentials
  iam CreateAccessKey CreateServiceSpecificCredential CreateVirtualMFADevice ResetServiceSpecificCredential
  IoTSecuredTunneling OpenTunnel RotateTunnelAccessToken
  kinesisanalytics CreateApplicationPresignedUrl
  license-manager CreateToken GetAccessToken
  lightsail CreateBucketAccessKey CreateContainerServiceRegistryLogin CreateKeyPair DownloadDefaultKeyPair
  lightsail GetBucketAccessKeys GetInstanceAccessDetails GetRelationalDatabaseMasterUserPassword
  pcs RegisterComputeNodeGroupInstance
  redshift GetClusterCredentials GetClusterCredentialsWithIAM GetIdentityCenterAuthToken
  redshift-serverless GetCredentials GetIdentityCenterAuthToken
  route53domains TransferDomainToAnotherAwsAccount
  sagemaker CreatePartnerAppPresignedUrl CreatePresignedDomainUrl CreatePresignedMlflowAppUrl
  sagemaker CreatePresignedMlflowTrackingServerUrl CreatePresignedNotebookInstanceUrl StartSession
  ssm CreateActivation GetAccessToken ResumeSession StartSession
  storagegateway DescribeChapCredentials`;

/** All that Security Token Service does besides giving credentials; what it may learn tomorrow is none of these. */
const STS_HARMLESS: ReadonlySet<string> = new Set([
  'decodeauthorizationmessage',
  'getaccesskeyinfo',
  'getcalleridentity',
]);

const BY_SERVICE: ReadonlyMap<string, ReadonlySet<string>> = read();

/** Whether any operation of a service that names its actions in the request returns credentials. */
export function hasCredentialActions(service: string): boolean {
  return service === 'sts' || BY_SERVICE.has(service);
}

/** Whether the action returns a credential. Letters of any case: what a server makes of them is not known. */
export function isCredentialAction(service: string, action: string): boolean {
  const folded = action.toLowerCase();
  if (service === 'sts') return !STS_HARMLESS.has(folded);
  return BY_SERVICE.get(service)?.has(folded) === true;
}

function read(): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  for (const line of NAMED.trim().split('\n')) {
    const [service, ...actions] = line.trim().toLowerCase().split(' ') as [string, ...string[]];
    const known = found.get(service) ?? new Set();
    for (const action of actions) known.add(action);
    // The one signing name with capitals.
    found.set(service === 'iotsecuredtunneling' ? 'IoTSecuredTunneling' : service, known);
  }
  return found;
}
