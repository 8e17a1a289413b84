/**
 * What AWS calls its endpoints: one word for each, made from the service models and endpoint rule sets of botocore
 * 1.43.11 (Apache-2.0), which are those of every AWS SDK; bearer-token and Signature Version 2 services left out.
 *
 * `prefix` is what stands before the region in a host name. After it come `@` and the signing name where that is
 * another, and `=` with what the SDKs put after `AWS_ENDPOINT_URL_`, joined by `+`, where that is not the prefix in
 * capitals. `~` before it: only under the dual-stack suffix. Names that an SDK puts before the prefix for some
 * operations (`management.deadline`) are words of their own.
 */

/** JSON bodies, operations named by method and path. */
export const REST_JSON = `
  a2i-runtime.sagemaker@sagemaker=SAGEMAKER_A2I_RUNTIME access-analyzer=ACCESSANALYZER account admin.wickr@wickr=WICKR
  aiops amplify amplifybackend amplifyuibuilder analytics-omics@omics=OMICS
  api-fulfill.dataexchange@dataexchange=DATAEXCHANGE api.airflow@airflow=MWAA api.detective@detective=DETECTIVE
  api.iotdeviceadvisor@iotdeviceadvisor=IOTDEVICEADVISOR
  ~api.iotmanagedintegrations@iotmanagedintegrations=IOT_MANAGED_INTEGRATIONS api.iotsitewise@iotsitewise=IOTSITEWISE
  api.iottwinmaker@iottwinmaker=IOTTWINMAKER api.iotwireless@iotwireless=IOT_WIRELESS
  api.mediatailor@mediatailor=MEDIATAILOR api.thinclient@thinclient=WORKSPACES_THIN_CLIENT
  apigateway=API_GATEWAY+APIGATEWAYV2 app-integrations=APPINTEGRATIONS appconfig appconfigdata@appconfig appfabric
  appflow application-cost-profiler=APPLICATIONCOSTPROFILER ~application-signals appmesh=APP_MESH appsync
  aps-workspaces@aps=AMP aps=AMP arc-zonal-shift artifact auditmanager backup ~backup-search=BACKUPSEARCH batch
  bedrock bedrock-agent-runtime@bedrock bedrock-agent@bedrock bedrock-agentcore
  bedrock-agentcore-control@bedrock-agentcore bedrock-data-automation@bedrock bedrock-runtime@bedrock billingconductor
  braket cases=CONNECTCASES catalog.marketplace@aws-marketplace=MARKETPLACE_CATALOG chatbot chime cleanrooms
  cleanrooms-ml=CLEANROOMSML clouddirectory cloudsearchdomain@cloudsearch=CLOUDSEARCH_DOMAIN
  cloudtrail-data codeartifact codeguru-profiler=CODEGURUPROFILER codeguru-reviewer codeguru-security
  codestar-notifications cognito-sync connect connect-campaigns=CONNECTCAMPAIGNS+CONNECTCAMPAIGNSV2
  contact-lens@connect=CONNECT_CONTACT_LENS control-storage-omics@omics=OMICS controlcatalog controltower
  ~cp.aidevops@aidevops=DEVOPS_AGENT cp.geofencing.geo@geo=LOCATION cp.maps.geo@geo=LOCATION
  cp.metadata.geo@geo=LOCATION cp.places.geo@geo=LOCATION cp.routes.geo@geo=LOCATION cp.tracking.geo@geo=LOCATION
  data-ats.iot@iotdata=IOT_DATA_PLANE data-lakeformation@lakeformation=LAKEFORMATION data-signer@signer=SIGNER_DATA
  data.iotevents@ioteventsdata=IOT_EVENTS_DATA data.iotsitewise@iotsitewise=IOTSITEWISE
  data.iottwinmaker@iottwinmaker=IOTTWINMAKER data.jobs.iot@iot-jobs-data=IOT_JOBS_DATA_PLANE
  data.mediastore@mediastore=MEDIASTORE_DATA data.qapps@qapps=QAPPS databrew dataexchange
  dataplane.payment-cryptography@payment-cryptography=PAYMENT_CRYPTOGRAPHY_DATA dataplane.rum@rum=RUM ~datazone
  deployment-marketplace@aws-marketplace=MARKETPLACE_DEPLOYMENT devops-guru
  ~discovery-marketplace@aws-marketplace=MARKETPLACE_DISCOVERY dlm docdb-elastic ~dp.aidevops@aidevops=DEVOPS_AGENT
  drs ds-data=DIRECTORY_SERVICE_DATA ~dsql ebs edge.sagemaker@sagemaker=SAGEMAKER_EDGE eks ~eks-auth
  elasticfilesystem=EFS elemental-inference=ELEMENTALINFERENCE email@ses=PINPOINT_EMAIL+SESV2 emr-containers
  emr-serverless entityresolution env.airflow@airflow=MWAA es=ELASTICSEARCH_SERVICE+OPENSEARCH
  featurestore-runtime.sagemaker@sagemaker=SAGEMAKER_FEATURESTORE_RUNTIME finspace finspace-api=FINSPACE_DATA fis
  ~gameliftstreams geo-maps geo-places geo-routes geofencing.geo@geo=LOCATION glacier grafana
  greengrass=GREENGRASS+GREENGRASSV2 groundstation guardduty ~health-agent=CONNECTHEALTH
  identity-chime@chime=CHIME_SDK_IDENTITY imagebuilder inspector-scan inspector2 internetmonitor iot
  iotevents=IOT_EVENTS ivs ivschat ivsrealtime@ivs=IVS_REALTIME kafka kafkaconnect
  kinesisvideo=KINESIS_VIDEO_ARCHIVED_MEDIA+KINESIS_VIDEO_MEDIA+KINESIS_VIDEO_SIGNALING+KINESIS_VIDEO_WEBRTC_STORAGE+KINESIS_VIDEO
  lakeformation lambda launchwizard=LAUNCH_WIZARD license-manager-linux-subscriptions
  license-manager-user-subscriptions m2 macie2 managedblockchain managedblockchain-query
  management.deadline@deadline=DEADLINE media-pipelines-chime@chime=CHIME_SDK_MEDIA_PIPELINES mediaconnect
  mediaconvert medialive mediapackage mediapackage-vod mediapackagev2 medical-imaging
  meetings-chime@chime=CHIME_SDK_MEETINGS messaging-chime@chime=CHIME_SDK_MESSAGING metadata.geo@geo=LOCATION
  metrics.sagemaker@sagemaker=SAGEMAKER_METRICS mgn migrationhub-orchestrator=MIGRATIONHUBORCHESTRATOR
  migrationhub-strategy=MIGRATIONHUBSTRATEGY models-v2-lex@lex=LEX_MODELS_V2 models.lex@lex=LEX_MODEL_BUILDING_SERVICE
  monitor.iotsitewise@iotsitewise=IOTSITEWISE ~mpa mq neptune-graph ~networkflowmonitor networkmanager networkmonitor
  ~notifications ~notifications-contacts=NOTIFICATIONSCONTACTS nova-act oam observabilityadmin oidc@sso-oauth=SSO_OIDC
  ops.airflow@airflow=MWAA osis outposts panorama participant.connect@execute-api=CONNECTPARTICIPANT pca-connector-ad
  pca-connector-scep personalize-events@personalize personalize-runtime@personalize pinpoint@mobiletargeting pipes
  polly portal.sso@awsssoportal=SSO profile=CUSTOMER_PROFILES ~qbusiness
  query-lakeformation@lakeformation=LAKEFORMATION quicksight ram rbin rds-data
  refactor-spaces=MIGRATION_HUB_REFACTOR_SPACES reporting-marketplace@aws-marketplace=MARKETPLACE_REPORTING
  repostspace resiliencehub resource-explorer-2 resource-groups rolesanywhere route53-recovery-control-config
  route53-recovery-readiness ~route53globalresolver route53profiles rtbfabric rum
  runtime-medical-imaging@medical-imaging=MEDICAL_IMAGING runtime-v2-lex@lex=LEX_RUNTIME_V2
  ~runtime.health-agent@health-agent=CONNECTHEALTH runtime.lex@lex=LEX_RUNTIME_SERVICE
  runtime.sagemaker@sagemaker=SAGEMAKER_RUNTIME s3-outposts=S3OUTPOSTS ~s3files s3tables ~s3vectors
  sagemaker-geospatial savingsplans scheduler scheduling.deadline@deadline=DEADLINE schemas scn=SUPPLYCHAIN
  sdb=SIMPLEDBV2 ~security-ir ~securityagent securityhub securitylake serverlessrepo=SERVERLESSAPPLICATIONREPOSITORY
  servicecatalog-appregistry@servicecatalog=SERVICE_CATALOG_APPREGISTRY signer signin simspaceweaver
  sms-voice.pinpoint@sms-voice=PINPOINT_SMS_VOICE snow-device-management social-messaging=SOCIALMESSAGING
  ssm-guiconnect ssm-incidents ssm-quicksetup ssm-sap storage-omics@omics=OMICS
  ~streaming.health-agent@health-agent=CONNECTHEALTH supportapp=SUPPORT_APP sustainability synthetics
  tags-omics@omics=OMICS tax=TAXSETTINGS tnb tracking.geo@geo=LOCATION transcribestreaming@transcribe=TRANSCRIBE_STREAMING
  trustedadvisor ~uxc
  voice-chime@chime=CHIME_SDK_VOICE vpc-lattice wellarchitected wisdom=QCONNECT+WISDOM workdocs
  workflows-omics@omics=OMICS workmailmessageflow workspaces-web xray`;

/** JSON or CBOR bodies, operations named by `X-Amz-Target` or by an RPC path. */
export const JSON = `
  acm acm-pca aco-automation=COMPUTE_OPTIMIZER_AUTOMATION agreement-marketplace@aws-marketplace=MARKETPLACE_AGREEMENT
  ~airflow-serverless=MWAA_SERVERLESS aoss=OPENSEARCHSERVERLESS api.ecr-public@ecr-public=ECR_PUBLIC api.ecr@ecr=ECR
  api.pricing@pricing=PRICING api.sagemaker@sagemaker=SAGEMAKER
  api.tunneling.iot@IoTSecuredTunneling=IOTSECURETUNNELING application-autoscaling=APPLICATION_AUTO_SCALING
  applicationinsights=APPLICATION_INSIGHTS apprunner appstream2@appstream=APPSTREAM ~arc-region-switch athena
  autoscaling-plans=AUTO_SCALING_PLANS b2bi backup-gateway ~bcm-dashboards bcm-data-exports ~bcm-pricing-calculator
  ~bcm-recommended-actions bedrock-data-automation-runtime@bedrock billing budgets
  ~cassandra-streams@cassandra=KEYSPACESSTREAMS cassandra=KEYSPACES ce=COST_EXPLORER cloud9
  cloudcontrolapi=CLOUDCONTROL cloudhsm cloudhsmv2@cloudhsm=CLOUDHSM_V2 cloudtrail codebuild codecommit
  codeconnections codedeploy codepipeline codestar-connections cognito-identity cognito-idp=COGNITO_IDENTITY_PROVIDER
  comprehend comprehendmedical compute-optimizer config=CONFIG_SERVICE
  controlplane.payment-cryptography@payment-cryptography=PAYMENT_CRYPTOGRAPHY cost-optimization-hub
  cur=COST_AND_USAGE_REPORT_SERVICE data-servicediscovery@servicediscovery=SERVICEDISCOVERY datapipeline=DATA_PIPELINE
  datasync dax devicefarm=DEVICE_FARM directconnect=DIRECT_CONNECT discovery=APPLICATION_DISCOVERY_SERVICE
  dms=DATABASE_MIGRATION_SERVICE ds=DIRECTORY_SERVICE dynamodb ec2-instance-connect ecs elasticmapreduce=EMR
  entitlement.marketplace@aws-marketplace=MARKETPLACE_ENTITLEMENT_SERVICE events=EVENTBRIDGE evs firehose fms forecast
  forecastquery@forecast frauddetector ~freetier fsx gamelift globalaccelerator=GLOBAL_ACCELERATOR glue health
  healthlake identitystore ingest.timestream@timestream=TIMESTREAM_WRITE inspector ~interconnect ~invoicing
  iotfleetwise iotthingsgraph kendra ~kendra-ranking kinesis kinesisanalytics=KINESIS_ANALYTICS+KINESIS_ANALYTICS_V2
  kms license-manager lightsail logs=CLOUDWATCH_LOGS lookoutequipment machinelearning=MACHINE_LEARNING
  mail-manager@ses=MAILMANAGER marketplacecommerceanalytics=MARKETPLACE_COMMERCE_ANALYTICS mediastore
  memory-db@memorydb=MEMORYDB metering.marketplace@aws-marketplace=MARKETPLACE_METERING mgh=MIGRATION_HUB
  migrationhub-config@mgh monitoring=CLOUDWATCH mturk-requester=MTURK network-firewall odb organizations
  ~partnercentral-account ~partnercentral-benefits partnercentral-channel ~partnercentral-selling pcs personalize pi
  proton query.timestream@timestream=TIMESTREAM_QUERY redshift-data redshift-serverless rekognition
  route53-recovery-cluster route53domains=ROUTE_53_DOMAINS route53resolver secretsmanager=SECRETS_MANAGER
  servicecatalog=SERVICE_CATALOG servicediscovery servicequotas=SERVICE_QUOTAS shield sms-voice=PINPOINT_SMS_VOICE_V2
  snowball sqs ssm ssm-contacts sso=SSO_ADMIN states=SFN storagegateway=STORAGE_GATEWAY
  stream-logs@logs=CLOUDWATCH_LOGS streams.dynamodb@dynamodb=DYNAMODB_STREAMS support swf sync-states@states=SFN
  tagging=RESOURCE_GROUPS_TAGGING_API textract timestream-influxdb transcribe transfer translate verifiedpermissions
  voiceid=VOICE_ID waf waf-regional wafv2 workmail workspaces ~workspaces-instances`;

/** Form bodies with an `Action`, XML answers. Older clients of Amazon SQS and CloudWatch speak it too. */
export const QUERY = `
  autoscaling=AUTO_SCALING cloudformation cloudsearch elasticache elasticbeanstalk=ELASTIC_BEANSTALK
  elasticloadbalancing=ELASTIC_LOAD_BALANCING+ELASTIC_LOAD_BALANCING_V2 email@ses=SES iam rds=DOCDB+NEPTUNE+RDS
  monitoring=CLOUDWATCH redshift sdb=SIMPLEDB sns sqs sts`;

/** XML bodies, operations named by method and path. */
export const REST_XML = `
  cloudfront route53=ROUTE_53 s3 s3-control@s3`;

/** As query, with errors of another shape. */
export const EC2 = `
  ec2`;
