import { describe, expect, test } from 'vitest';
import { needsForm } from './action.ts';
import { awsFactsOf, returnsCredentials } from './aws-facts.ts';

const FORM = 'application/x-www-form-urlencoded; charset=utf-8';

interface Asked {
  readonly service?: string;
  readonly method?: string;
  readonly target?: string;
  readonly headers?: readonly string[];
  readonly form?: string;
}

function ask({ service = 'sts', method = 'POST', target = '/', headers = ['Content-Type', FORM], form }: Asked) {
  const head = {
    method,
    target,
    headers: form === undefined ? headers : [...headers, 'content-length', String(form.length)],
  };
  const body = form === undefined ? undefined : Buffer.from(form, 'latin1');
  const facts = awsFactsOf(head, { service, region: 'eu-west-1' }, {}, body);
  return { action: facts.action, gives: returnsCredentials(facts, head), needs: needsForm(head, service) };
}

describe('the action', () => {
  test('stands in X-Amz-Target after the last dot', () => {
    const target = (value: string) =>
      ask({ service: 'dynamodb', headers: ['X-Amz-Target', value, 'content-type', 'application/x-amz-json-1.0'] });
    expect(target('DynamoDB_20120810.GetItem')).toEqual({ action: 'GetItem', gives: false, needs: false });
    expect(target('com.amazonaws.x.v2012.GetItem').action).toBe('GetItem');
    expect(target('GetItem;DROP').action).toBeUndefined();
    expect(target('').action).toBeUndefined();
  });

  test('stands in the query or in the form of the query protocol', () => {
    expect(ask({ service: 'sns', form: 'Action=Publish&Version=2010-03-31' })).toEqual({
      action: 'Publish',
      gives: false,
      needs: true,
    });
    expect(ask({ service: 'ec2', form: 'Version=1&Action=DescribeInstances' }).action).toBe('DescribeInstances');
    expect(ask({ method: 'GET', target: '/?Action=GetCallerIdentity&Version=1', headers: [] })).toEqual({
      action: 'GetCallerIdentity',
      gives: false,
      needs: false,
    });
    expect(ask({ service: 'sqs', form: 'Action=SendMessage' }).action).toBe('SendMessage');
    expect(ask({ service: 'sqs', headers: ['x-amz-target', 'AmazonSQS.SendMessage'] }).action).toBe('SendMessage');
  });

  test('stands in the path of the RPC protocol', () => {
    const cbor = {
      service: 'monitoring',
      headers: ['smithy-protocol', 'rpc-v2-cbor', 'content-type', 'application/cbor'],
    };
    expect(ask({ ...cbor, target: '/service/GraniteServiceVersion20100801/operation/PutMetricData' }).action).toBe(
      'PutMetricData',
    );
  });

  test('is the name of a route', () => {
    const json = ['content-type', 'application/json'];
    expect(
      ask({ service: 'lambda', target: '/2015-03-31/functions/arn%3Aaws%3Alambda%3Af/invocations', headers: json })
        .action,
    ).toBe('Invoke');
    expect(ask({ service: 'bedrock', target: '/model/m%3A0/converse-stream', headers: json }).action).toBe(
      'ConverseStream',
    );
    expect(ask({ service: 'lambda', target: '/2015-03-31/functions', headers: json }).action).toBeUndefined();
    expect(
      ask({ service: 'lambda', method: 'GET', target: '/2015-03-31/functions/f/invocations', headers: json }).action,
    ).toBeUndefined();
  });

  test('is absent where several are named', () => {
    const twice = ['x-amz-target', 'DynamoDB_20120810.GetItem', 'X-Amz-Target', 'DynamoDB_20120810.DeleteTable'];
    expect(ask({ service: 'dynamodb', headers: twice }).action).toBeUndefined();
    const both = ['x-amz-target', 'AmazonSQS.SendMessage', 'content-type', FORM];
    expect(ask({ service: 'sqs', headers: both, form: 'Action=DeleteQueue' }).action).toBeUndefined();
    expect(
      ask({ service: 'dynamodb', target: '/?Action=DeleteTable', headers: ['x-amz-target', 'D.GetItem'] }).action,
    ).toBeUndefined();
    expect(
      ask({ service: 'dynamodb', target: '/service/D/operation/DeleteTable', headers: ['x-amz-target', 'D.GetItem'] })
        .action,
    ).toBeUndefined();
  });
});

describe('a call that asks STS for credentials', () => {
  test('is seen by its action, whatever that is called', () => {
    for (const action of [
      'AssumeRole',
      'GetSessionToken',
      'GetFederationToken',
      'AssumeRoot',
      'SomethingNew',
      'assumerole',
    ])
      expect(ask({ form: `Action=${action}&Version=2011-06-15` }).gives).toBe(true);
    for (const action of ['GetCallerIdentity', 'DecodeAuthorizationMessage'])
      expect(ask({ form: `Action=${action}&Version=2011-06-15` }).gives).toBe(false);
  });

  test('is taken for one as long as the form is not known', () => {
    expect(ask({})).toEqual({ action: undefined, gives: true, needs: true });
    expect(ask({ headers: ['content-type', FORM, 'content-length', '38'] }).gives).toBe(true);
  });

  test.each([
    ['the action is there twice', { form: 'Action=GetCallerIdentity&Action=AssumeRole' }],
    ['it is in the query and in the form', { target: '/?Action=GetCallerIdentity', form: 'Action=AssumeRole' }],
    ['its name is escaped', { form: 'Action=GetCallerIdentity&%41ction=AssumeRole' }],
    ['its name is escaped all over', { form: '%41%63%74%69%6F%6E=AssumeRole&Action=GetCallerIdentity' }],
    ['its name has other letters', { form: 'Action=GetCallerIdentity&action=AssumeRole' }],
    ['a plus stands before its name', { form: 'Action=GetCallerIdentity&+Action=AssumeRole' }],
    ['a blank stands after its name', { form: 'Action=GetCallerIdentity&Action%20=AssumeRole' }],
    ['a byte order mark stands before it', { form: '\u00ef\u00bb\u00bfAction=AssumeRole&Action=GetCallerIdentity' }],
    ['a semicolon separates', { form: 'Action=GetCallerIdentity;Action=AssumeRole' }],
    ['a semicolon hides one in another value', { form: 'x=1;Action=AssumeRole&Action=GetCallerIdentity' }],
    ['the first has no value', { form: 'Action&Action=GetCallerIdentity' }],
    ['its value has a blank', { form: 'Action=GetCallerIdentity+' }],
    ['its value is escaped wrongly', { form: 'Action=GetCallerIdentity%zz' }],
    ['there is none', { form: 'Version=2011-06-15' }],
    ['the form is empty', { form: '' }],
    [
      'the body is compressed',
      { headers: ['content-type', FORM, 'content-encoding', 'gzip'], form: 'Action=GetCallerIdentity' },
    ],
    [
      'the body is framed',
      { headers: ['content-type', FORM, 'content-encoding', 'aws-chunked'], form: 'Action=GetCallerIdentity' },
    ],
    [
      'the charset is another',
      {
        headers: ['content-type', 'application/x-www-form-urlencoded; charset=utf-16'],
        form: 'Action=GetCallerIdentity',
      },
    ],
    [
      'the form has parts',
      { headers: ['content-type', 'multipart/form-data; boundary=x'], form: 'Action=GetCallerIdentity' },
    ],
    [
      'the body is JSON',
      {
        headers: [
          'content-type',
          'application/x-amz-json-1.1',
          'x-amz-target',
          'AWSSecurityTokenServiceV20110615.GetCallerIdentity',
        ],
        form: '{}',
      },
    ],
    ['the body is said to be text', { headers: ['content-type', 'text/plain'], form: 'Action=GetCallerIdentity' }],
    ['the body is said to be nothing', { headers: [], form: 'Action=GetCallerIdentity' }],
    [
      'the type is there twice',
      { headers: ['content-type', FORM, 'Content-Type', 'text/plain'], form: 'Action=GetCallerIdentity' },
    ],
    [
      'a target field says another',
      { headers: ['content-type', FORM, 'x-amz-target', 'STS.AssumeRole'], form: 'Action=GetCallerIdentity' },
    ],
    [
      'a target field says it on another path',
      {
        target: '/x',
        headers: ['content-type', 'text/plain', 'x-amz-target', 'STS.GetCallerIdentity'],
        form: 'Action=AssumeRole',
      },
    ],
    ['the RPC path says it', { target: '/service/STS/operation/GetCallerIdentity', form: 'Action=AssumeRole' }],
    ['the path is another', { target: '/x', form: 'Action=GetCallerIdentity' }],
    ['a GET has a body', { method: 'GET', target: '/?Action=GetCallerIdentity', form: 'Action=AssumeRole' }],
    [
      'a GET has a body of another type',
      {
        method: 'GET',
        target: '/?Action=GetCallerIdentity',
        headers: ['content-type', 'text/plain'],
        form: 'Action=AssumeRole',
      },
    ],
    [
      'a GET has a body in chunks',
      { method: 'GET', target: '/?Action=GetCallerIdentity', headers: ['transfer-encoding', 'chunked'] },
    ],
  ] satisfies [string, Asked][])('is not hidden where %s', (_, asked) => {
    expect(ask(asked)).toMatchObject({ action: undefined, gives: true });
  });

  test('a form of megabytes is read in no time', () => {
    const began = performance.now();
    const noise = '&;'.repeat(500_000) + 'a'.repeat(4_000_000);
    expect(ask({ form: `${noise}&Action=GetCallerIdentity` }).gives).toBe(false);
    expect(performance.now() - began).toBeLessThan(2000);
  });
});

describe('an answer with a credential', () => {
  const target = (service: string, action: string) =>
    ask({ service, headers: ['x-amz-target', `X.${action}`, 'content-type', 'application/x-amz-json-1.1'] }).gives;

  test.each([
    ['cognito-identity', 'GetCredentialsForIdentity'],
    ['cognito-identity', 'GetOpenIdToken'],
    ['ecr', 'GetAuthorizationToken'],
    ['ecr-public', 'GetAuthorizationToken'],
    ['redshift-serverless', 'GetCredentials'],
    ['lightsail', 'GetInstanceAccessDetails'],
    ['ssm', 'StartSession'],
    ['gamelift', 'RequestUploadCredentials'],
    ['codepipeline', 'PollForJobs'],
    ['IoTSecuredTunneling', 'OpenTunnel'],
    ['sagemaker', 'CreatePresignedDomainUrl'],
  ])('%s %s', (service, action) => {
    expect(target(service, action)).toBe(true);
    expect(target(service, 'ListTagsForResource')).toBe(false);
  });

  test.each([
    ['iam', 'CreateAccessKey'],
    ['iam', 'CreateServiceSpecificCredential'],
    ['redshift', 'GetClusterCredentials'],
    ['redshift', 'GetClusterCredentialsWithIAM'],
    ['ec2', 'GetPasswordData'],
  ])('%s %s in a form', (service, action) => {
    expect(ask({ service, form: `Action=${action}` }).gives).toBe(true);
    expect(ask({ service, form: 'Action=ListUsers' }).gives).toBe(false);
    expect(ask({ service }).gives).toBe(true);
  });

  test.each([
    ['codeartifact', 'POST', '/v1/authorization-token?domain=d'],
    ['codeartifact', 'POST', '/v1//authorization-token/'],
    ['codeartifact', 'POST', '/v1/x/../authorization-token'],
    ['codeartifact', 'POST', '/v1/authorization%2Dtoken'],
    ['codeartifact', 'POST', '/v1%2Fauthorization-token'],
    ['codeartifact', 'POST', '/V1/Authorization-Token'],
    ['awsssoportal', 'GET', '/federation/credentials?role_name=r'],
    ['sso-oauth', 'POST', '/token?aws_iam=t'],
    ['eks-auth', 'POST', '/clusters/c/assume-role-for-pod-identity'],
    ['eks-auth', 'POST', '/clusters/a%2Fb/assume%2Drole-for-pod-identity'],
    ['lakeformation', 'POST', '/GetTemporaryGlueTableCredentials'],
    ['datazone', 'GET', '/v2/domains/d/environments/e/credentials'],
    ['pca-connector-scep', 'GET', '/challengePasswords/arn:aws:x/y/z'],
    ['deadline', 'GET', '/2023-10-12/farms/f/queues/q/user-roles'],
  ])('%s %s %s', (service, method, path) => {
    expect(ask({ service, method, target: path, headers: ['content-type', 'application/json'] }).gives).toBe(true);
    // A field that another protocol reads changes nothing.
    expect(ask({ service, method, target: path, headers: ['x-amz-target', 'X.ListDomains'] }).gives).toBe(true);
    expect(ask({ service, method, target: '/v1/domains', headers: [] }).gives).toBe(false);
  });

  test('is expected of a request that does not say what it is, at services that have one', () => {
    expect(ask({ service: 'ecr', headers: ['content-type', 'application/x-amz-json-1.1'] }).gives).toBe(true);
    expect(
      ask({
        service: 'ecr',
        headers: ['content-type', FORM, 'x-amz-target', 'E.DescribeImages'],
        form: 'Action=GetAuthorizationToken',
      }).gives,
    ).toBe(true);
    expect(
      ask({ service: 'ecr', target: '/?Action=GetAuthorizationToken', headers: ['x-amz-target', 'E.DescribeImages'] })
        .gives,
    ).toBe(true);
    expect(ask({ service: 'sagemaker', target: '/endpoints/e/invocations', headers: [] }).gives).toBe(false);
    expect(ask({ service: 'dynamodb', headers: [] }).gives).toBe(false);
  });

  test('is none where it is what a user has stored', () => {
    expect(target('secretsmanager', 'GetSecretValue')).toBe(false);
    expect(target('ssm', 'GetParameter')).toBe(false);
  });
});
