import { percentDecode } from '../sign/percent.ts';
import { SigningProblem } from '../sign/problem.ts';

/**
 * Operations that are named by method and path, as far as rules need them: those that return a credential (marked `!`,
 * see credential-operations.ts) and the calls of Lambda and Bedrock that agents are for. `{}` is one segment, `...` any
 * number of them; from the service models of botocore 1.43.11.
 */
const ROUTES = `
  amplifyuibuilder POST /tokens/{} ExchangeCodeForToken !
  amplifyuibuilder POST /tokens/{}/refresh RefreshToken !
  apigateway POST /apikeys CreateApiKey !
  apigateway GET /apikeys GetApiKeys !
  apigateway GET /apikeys/{} GetApiKey !
  appsync POST /v1/apis/{}/apikeys CreateApiKey !
  appsync GET /v1/apis/{}/apikeys ListApiKeys !
  appsync POST /v1/apis/{}/apikeys/{} UpdateApiKey !
  airflow POST /clitoken/{} CreateCliToken !
  airflow POST /webtoken/{} CreateWebLoginToken !
  awsssoportal GET /federation/credentials GetRoleCredentials !
  bedrock POST /model/{}/converse Converse
  bedrock POST /model/{}/converse-stream ConverseStream
  bedrock POST /model/{}/count-tokens CountTokens
  bedrock POST /model/{}/invoke InvokeModel
  bedrock POST /model/{}/invoke-with-bidirectional-stream InvokeModelWithBidirectionalStream
  bedrock POST /model/{}/invoke-with-response-stream InvokeModelWithResponseStream
  bedrock POST /guardrail/{}/version/{}/apply ApplyGuardrail
  bedrock-agentcore POST /identities/api-key GetResourceApiKey !
  bedrock-agentcore POST /identities/oauth2/token GetResourceOauth2Token !
  bedrock-agentcore POST /identities/payment/token GetResourcePaymentToken !
  bedrock-agentcore POST /identities/GetWorkloadAccessToken GetWorkloadAccessToken !
  bedrock-agentcore POST /identities/GetWorkloadAccessTokenForJWT GetWorkloadAccessTokenForJWT !
  bedrock-agentcore POST /identities/GetWorkloadAccessTokenForUserId GetWorkloadAccessTokenForUserId !
  codeartifact POST /v1/authorization-token GetAuthorizationToken !
  connect GET /user/federate/{} GetFederationToken !
  connect POST /contact/create-participant CreateParticipant !
  connect PUT /contact/chat StartChatContact !
  connect PUT /contact/webrtc StartWebRTCContact !
  datazone GET /v2/domains/{}/environments/{}/credentials GetEnvironmentCredentials !
  datazone GET /v2/domains/{}/connections/{} GetConnection !
  deadline GET /2023-10-12/farms/{}/fleets/{}/read-roles AssumeFleetRoleForRead !
  deadline GET /2023-10-12/farms/{}/fleets/{}/workers/{}/fleet-roles AssumeFleetRoleForWorker !
  deadline GET /2023-10-12/farms/{}/queues/{}/read-roles AssumeQueueRoleForRead !
  deadline GET /2023-10-12/farms/{}/queues/{}/user-roles AssumeQueueRoleForUser !
  deadline GET /2023-10-12/farms/{}/fleets/{}/workers/{}/queue-roles AssumeQueueRoleForWorker !
  eks-auth POST /clusters/{}/assume-role-for-pod-identity AssumeRoleForPodIdentity !
  emr-containers POST /virtualclusters/{}/endpoints/{}/credentials GetManagedEndpointSessionCredentials !
  emr-serverless GET /applications/{}/jobruns/{}/dashboard GetDashboardForJobRun !
  emr-serverless GET /applications/{}/sessions/{}/endpoint GetSessionEndpoint !
  execute-api POST /participant/connection CreateParticipantConnection !
  finspace-api GET /credentials/programmatic GetProgrammaticAccessCredentials !
  finspace-api POST /datasets/{}/dataviewsv2/{}/external-access-details GetExternalDataViewAccessDetails !
  finspace-api POST /user/{}/password ResetUserPassword !
  geo POST /metadata/v0/keys CreateKey !
  geo GET /metadata/v0/keys/{} DescribeKey !
  grafana POST /workspaces/{}/apikeys CreateWorkspaceApiKey !
  grafana POST /workspaces/{}/serviceaccounts/{}/tokens CreateWorkspaceServiceAccountToken !
  iot POST /keys-and-certificate CreateKeysAndCertificate !
  iot POST /provisioning-templates/{}/provisioning-claim CreateProvisioningClaim !
  iotmanagedintegrations POST /provisioning-profiles CreateProvisioningProfile !
  kinesisvideo POST /v1/get-ice-server-config GetIceServerConfig !
  lakeformation POST /AssumeDecoratedRoleWithSAML AssumeDecoratedRoleWithSAML !
  lakeformation POST /GetTemporaryDataLocationCredentials GetTemporaryDataLocationCredentials !
  lakeformation POST /GetTemporaryGluePartitionCredentials GetTemporaryGluePartitionCredentials !
  lakeformation POST /GetTemporaryGlueTableCredentials GetTemporaryGlueTableCredentials !
  lambda POST /2015-03-31/functions/{}/invocations Invoke
  lambda POST /2014-11-13/functions/{}/invoke-async InvokeAsync
  lambda POST /2021-11-15/functions/{}/response-streaming-invocations InvokeWithResponseStream
  managedblockchain POST /accessors CreateAccessor !
  managedblockchain GET /accessors/{} GetAccessor !
  mediapackage PUT /channels/{}/credentials RotateChannelCredentials !
  mediapackage PUT /channels/{}/ingest_endpoints/{}/credentials RotateIngestEndpointCredentials !
  pca-connector-scep POST /challenges CreateChallenge !
  pca-connector-scep GET /challengePasswords/... GetChallengePassword !
  quicksight POST /accounts/{}/embed-url/anonymous-user GenerateEmbedUrlForAnonymousUser !
  quicksight POST /accounts/{}/embed-url/registered-user GenerateEmbedUrlForRegisteredUser !
  quicksight POST /accounts/{}/embed-url/registered-user-with-identity GenerateEmbedUrlForRegisteredUserWithIdentity !
  quicksight GET /accounts/{}/dashboards/{}/embed-url GetDashboardEmbedUrl !
  quicksight GET /accounts/{}/session-embed-url GetSessionEmbedUrl !
  s3 GET /v20180820/accessgrantsinstance/dataaccess GetDataAccess !
  signin POST /v1/token CreateOAuth2Token !
  sso-oauth POST /client/register RegisterClient !
  sso-oauth POST /token CreateToken !`;

export interface Route {
  readonly action: string;
  readonly returnsCredentials: boolean;
}

interface Template extends Route {
  readonly method: string;
  /** Lower case; `{}` for one segment, `...` for the rest. */
  readonly segments: readonly string[];
  /** The longest of them that is a word: where a path does not hold it, the template does not fit. */
  readonly word: string;
}

const BY_SERVICE: ReadonlyMap<string, readonly Template[]> = read();

/** Whether any operation of the service is known by its path. */
export function hasRoutes(service: string): boolean {
  return BY_SERVICE.has(service);
}

/**
 * The operation that a method and a path name; undefined for one that is not known. The path is read as a lenient
 * server would, so that no spelling of it gets past: escapes decoded, dot segments and empty segments resolved, letters of
 * any case.
 */
export function routeOf(service: string, method: string, path: string): Route | undefined {
  const templates = BY_SERVICE.get(service);
  if (templates === undefined) return undefined;
  const plain = decoded(path);
  const lower = plain.toLowerCase();
  const near = templates.filter(({ word }) => lower.includes(word));
  if (near.length === 0) return undefined;
  const verb = method.toUpperCase();
  let found: Template | undefined;
  for (const segments of [resolved(path), resolved(plain), resolvedThenDecoded(path)]) {
    const template = near.find((one) => one.method === verb && fits(one.segments, segments));
    if (template !== undefined && (found === undefined || template.returnsCredentials)) found = template;
  }
  return found;
}

function fits(template: readonly string[], segments: readonly string[]): boolean {
  const open = template.at(-1) === '...';
  const fixed = open ? template.length - 1 : template.length;
  if (open ? segments.length <= fixed : segments.length !== fixed) return false;
  for (let at = 0; at < fixed; at += 1) {
    if (template[at] !== '{}' && template[at] !== segments[at]) return false;
  }
  return true;
}

function resolved(path: string): string[] {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment.toLowerCase());
  }
  return kept;
}

function resolvedThenDecoded(path: string): string[] {
  return resolved(path).map((segment) => decoded(segment).toLowerCase());
}

function decoded(text: string): string {
  try {
    return percentDecode(text);
  } catch (thrown) {
    if (thrown instanceof SigningProblem) return text;
    throw thrown;
  }
}

function read(): ReadonlyMap<string, readonly Template[]> {
  const found = new Map<string, Template[]>();
  for (const line of ROUTES.trim().split('\n')) {
    const [service, method, path, action, mark] = line.trim().split(' ') as [string, string, string, string, string?];
    const segments = resolved(path);
    const word = segments.toSorted((one, other) => other.length - one.length)[0]!;
    const template = { method, segments, word, action, returnsCredentials: mark === '!' };
    found.set(service, [...(found.get(service) ?? []), template]);
  }
  return found;
}
