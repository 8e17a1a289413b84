import { headerValues, type RequestHead } from 'secretless-sidecar/connector';
import { splitTarget } from '../sign/query.ts';
import { endpointsOf } from './services.ts';

/**
 * What of a request tells one endpoint from another where several are signed under one name; from the service models
 * of botocore 1.43.11. `>` stands before the endpoint prefix; before that the word that says it: `T:` the first part of
 * `X-Amz-Target`, `A:` its last part, `/` the first segment of the path, `*` none of the others.
 */
const HINTS = `
  appconfig /configuration,/configurationsessions>appconfigdata
  appconfig /applications,/deployementstrategies,/deploymentstrategies,/extensionassociations,/extensions>appconfig
  aps *>aps
  aws-marketplace T:AWSMPCommerceService_v20200301>agreement-marketplace T:AWSMPEntitlementService>entitlement.marketplace
  aws-marketplace T:AWSMPMeteringService>metering.marketplace /catalogs>deployment-marketplace
  aws-marketplace /getBuyerDashboard>reporting-marketplace /2026-02-05>discovery-marketplace
  aws-marketplace /BatchDescribeEntities,/CancelChangeSet,/DescribeChangeSet,/DescribeEntity>catalog.marketplace
  aws-marketplace /ListChangeSets,/ListEntities,/StartChangeSet>catalog.marketplace
  bedrock T:AmazonBedrockKeystoneRuntimeService>bedrock-data-automation-runtime /prompts>bedrock-agent
  bedrock /async-invoke,/guardrail,/model>bedrock-runtime
  bedrock /generateQuery,/optimize-prompt,/rerank,/retrieveAndGenerate,/sessions>bedrock-agent-runtime
  bedrock /retrieveAndGenerateStream>bedrock-agent-runtime /data-automation-projects>bedrock-data-automation
  bedrock /blueprints,/data-automation-libraries>bedrock-data-automation
  bedrock /custom-models,/foundation-models,/guardrails,/imported-models,/inference-profiles,/logging>bedrock
  bedrock /model-copy-jobs,/model-customization-jobs,/model-import-jobs,/model-invocation-jobs>bedrock
  bedrock /evaluation-jobs,/prompt-routers,/foundation-model-availability,/model-invocation-job>bedrock
  bedrock-agentcore /evaluations,/recommendations,/registry-records>bedrock-agentcore
  bedrock-agentcore /evaluators,/gateways,/policy-engines,/registries,/resourcepolicy>bedrock-agentcore-control
  cassandra T:KeyspacesService>cassandra T:KeyspacesStreams>cassandra-streams
  chime /accounts>chime /app-instance-users,/app-instance-bots>identity-chime
  chime /channels,/channel-flows,/endpoints>messaging-chime /sdk-media-pipelines>media-pipelines-chime
  chime /voice-connectors,/voice-profiles,/voice-profile-domains,/sip-rules>voice-chime
  cloudhsm T:CloudHsmFrontendService>cloudhsm T:BaldrApiService>cloudhsmv2
  cloudsearch />cloudsearch
  connect /realtime-contact-analysis>contact-lens *>connect
  dynamodb T:DynamoDB_20120810>dynamodb T:DynamoDBStreams_20120810>streams.dynamodb
  forecast T:AmazonForecast>forecast T:AmazonForecastRuntime>forecastquery
  lex /intents,/slottypes,/migrations>models.lex /bot>runtime.lex
  lakeformation /StartQueryPlanning,/GetQueryState,/GetQueryStatistics,/GetWorkUnits>query-lakeformation
  lakeformation /GetWorkUnitResults>data-lakeformation *>lakeformation
  logs A:GetLogObject,A:StartLiveTail>stream-logs *>logs
  mediastore T:MediaStore_20170901>mediastore
  mgh T:AWSMigrationHub>mgh T:AWSMigrationHubMultiAccountService>migrationhub-config
  payment-cryptography T:PaymentCryptographyControlPlane>controlplane.payment-cryptography
  payment-cryptography /cardvalidationdata,/cryptogram,/keys,/mac,/pindata>dataplane.payment-cryptography
  personalize T:AmazonPersonalize>personalize
  personalize /events,/users,/items,/actions,/action-interactions>personalize-events
  personalize /recommendations,/personalize-ranking,/action-recommendations>personalize-runtime
  s3 *>s3
  sagemaker T:SageMaker>api.sagemaker /endpoints>runtime.sagemaker /human-loops>a2i-runtime.sagemaker
  sagemaker /FeatureGroup,/BatchGetRecord>featurestore-runtime.sagemaker
  sagemaker /GetDeployments,/GetDeviceRegistration,/SendHeartbeat>edge.sagemaker
  sagemaker /BatchGetMetrics,/BatchPutMetrics>metrics.sagemaker
  servicecatalog T:AWS242ServiceCatalogService>servicecatalog
  servicecatalog /applications,/attribute-groups>servicecatalog-appregistry
  servicediscovery A:DiscoverInstances,A:DiscoverInstancesRevision>data-servicediscovery *>servicediscovery
  ses T:MailManagerSvc>mail-manager /,/v1,/v2>email
  signer /signing-jobs,/signing-platforms,/signing-profiles,/tags>signer
  sms-voice T:PinpointSMSVoiceV2>sms-voice /v1>sms-voice.pinpoint
  states A:StartSyncExecution,A:TestState>sync-states *>states
  timestream A:Query,A:CancelQuery,A:PrepareQuery,A:ExecuteScheduledQuery,A:ListScheduledQueries>query.timestream
  timestream A:CreateScheduledQuery,A:DescribeScheduledQuery,A:DeleteScheduledQuery>query.timestream
  timestream A:UpdateScheduledQuery,A:DescribeAccountSettings,A:UpdateAccountSettings>query.timestream
  timestream A:WriteRecords,A:CreateDatabase,A:DescribeDatabase,A:ListDatabases,A:UpdateDatabase>ingest.timestream
  timestream A:DeleteDatabase,A:CreateTable,A:DescribeTable,A:ListTables,A:UpdateTable>ingest.timestream
  timestream A:DeleteTable,A:CreateBatchLoadTask,A:DescribeBatchLoadTask,A:ListBatchLoadTasks>ingest.timestream
  timestream A:ResumeBatchLoadTask>ingest.timestream
  dataexchange *>dataexchange
  health-agent *>health-agent
  medical-imaging *>medical-imaging
  rum *>rum
  transcribe /stream-transcription,/medical-stream-transcription>transcribestreaming
  transcribe /call-analytics-stream-transcription,/medical-scribe-stream>transcribestreaming *>transcribe`;

/** The Prometheus API of one workspace; what else begins with `/workspaces` administers them. */
const PROMETHEUS_PATH = /^\/workspaces\/[^/]+\/api\/v1\//;

let hints: ReadonlyMap<string, ReadonlyMap<string, string>> | undefined;

/** The endpoint prefix that a request itself names among those of a signing name; undefined where it names none. */
export function hintedPrefix(service: string, head: RequestHead): string | undefined {
  hints ??= readHints();
  const words = hints.get(service);
  const byAgent = prefixOfUserAgent(service, head);
  if (words === undefined) return byAgent;
  const target = onlyTarget(head);
  if (target !== undefined) {
    const named = words.get(`A:${target.action}`) ?? words.get(`T:${target.service}`);
    if (named !== undefined) return named;
  } else {
    const { path } = splitTarget(head.target);
    if (service === 'aps' && PROMETHEUS_PATH.test(path)) return 'aps-workspaces';
    const named = words.get(`/${path.split('/', 2)[1] ?? ''}`);
    if (named !== undefined) return named;
  }
  return byAgent ?? words.get('*');
}

function onlyTarget(head: RequestHead): { readonly service: string; readonly action: string } | undefined {
  const [target, ...more] = headerValues(head.headers, 'x-amz-target');
  if (target === undefined || more.length > 0) return undefined;
  const dot = target.lastIndexOf('.');
  return { service: target.slice(0, Math.max(dot, 0)), action: target.slice(dot + 1) };
}

/** SDKs put `api/<client>#<version>` or `api/<client>/<version>` into their user agent, each with its own spelling. */
function prefixOfUserAgent(service: string, head: RequestHead): string | undefined {
  const named = new Set<string>();
  for (const field of ['user-agent', 'x-amz-user-agent']) {
    for (const value of headerValues(head.headers, field)) {
      for (const [, client] of value.matchAll(/(?:^| )api\/([A-Za-z0-9_-]{1,64})[#/]/g)) named.add(fold(client!));
    }
  }
  if (named.size !== 1) return undefined;
  const [client] = named;
  const fitting = endpointsOf(service).filter(({ variables }) => variables.some((name) => fold(name) === client));
  return fitting.length === 1 ? fitting[0]!.prefix : undefined;
}

function fold(client: string): string {
  return client.replace(/[_-]/g, '').toLowerCase();
}

function readHints(): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const read = new Map<string, Map<string, string>>();
  for (const line of HINTS.trim().split('\n')) {
    const [service, ...rules] = line.trim().split(' ') as [string, ...string[]];
    const words = read.get(service) ?? new Map<string, string>();
    for (const rule of rules) {
      const [said, prefix] = rule.split('>') as [string, string];
      for (const word of said.split(',')) words.set(word, prefix);
    }
    read.set(service, words);
  }
  return read;
}
