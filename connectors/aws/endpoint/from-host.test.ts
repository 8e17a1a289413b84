import { describe, expect, test } from 'vitest';
import { fromHost, hostAgrees, isAwsHost, scopeAt } from './from-host.ts';
import { fromScope } from './from-scope.ts';
import { PARTITIONS } from './partitions.ts';
import { allEndpoints } from './services.ts';

function found(host: string): string {
  const facts = fromHost({ host });
  if (facts === undefined) return 'none';
  return [facts.service, facts.region ?? '-', facts.partition, facts.bucket ?? ''].join(' ').trim();
}

describe('what a host says', () => {
  test.each([
    ['dynamodb.eu-west-1.amazonaws.com', 'dynamodb eu-west-1 aws'],
    ['dynamodb-fips.us-east-1.amazonaws.com', 'dynamodb us-east-1 aws'],
    ['dynamodb.eu-west-1.api.aws', 'dynamodb eu-west-1 aws'],
    ['123456789012.ddb.eu-west-1.amazonaws.com', 'dynamodb eu-west-1 aws'],
    ['streams-dynamodb.eu-west-1.api.aws', 'dynamodb eu-west-1 aws'],
    ['sqs.cn-north-1.amazonaws.com.cn', 'sqs cn-north-1 aws-cn'],
    ['eu-west-1.queue.amazonaws.com', 'sqs eu-west-1 aws'],
    ['kms.us-gov-west-1.amazonaws.com', 'kms us-gov-west-1 aws-us-gov'],
    ['kms.eusc-de-east-1.amazonaws.eu', 'kms eusc-de-east-1 aws-eusc'],
    ['kms.us-isob-east-1.sc2s.sgov.gov', 'kms us-isob-east-1 aws-iso-b'],
    ['api.ecr.eu-west-1.amazonaws.com', 'ecr eu-west-1 aws'],
    ['ecr.eu-west-1.api.aws', 'ecr eu-west-1 aws'],
    ['runtime.sagemaker.eu-west-1.amazonaws.com', 'sagemaker eu-west-1 aws'],
    ['runtime-fips.sagemaker.us-east-1.amazonaws.com', 'sagemaker us-east-1 aws'],
    ['email.eu-west-1.amazonaws.com', 'ses eu-west-1 aws'],
    ['fips.batch.us-east-1.amazonaws.com', 'batch us-east-1 aws'],
    ['iam.amazonaws.com', 'iam us-east-1 aws'],
    ['iam-fips.amazonaws.com', 'iam us-east-1 aws'],
    ['iam.global.api.aws', 'iam us-east-1 aws'],
    ['iam.us-gov.amazonaws.com', 'iam us-gov-west-1 aws-us-gov'],
    ['iam.cn-north-1.amazonaws.com.cn', 'iam cn-north-1 aws-cn'],
    ['sts.amazonaws.com', 'sts us-east-1 aws'],
    ['sts.eu-west-1.amazonaws.com', 'sts eu-west-1 aws'],
    ['route53.amazonaws.com', 'route53 us-east-1 aws'],
    ['networkmanager.us-west-2.amazonaws.com', 'networkmanager us-west-2 aws'],
    ['abc123.execute-api.eu-west-1.amazonaws.com', 'execute-api eu-west-1 aws'],
    ['abc-vpce-0a1.execute-api.eu-west-1.amazonaws.com', 'execute-api eu-west-1 aws'],
    ['participant.connect.eu-west-1.amazonaws.com', 'execute-api eu-west-1 aws'],
    ['search-logs-abc.eu-west-1.es.amazonaws.com', 'es eu-west-1 aws'],
    ['search-logs-abc.aos.eu-west-1.on.aws', 'es eu-west-1 aws'],
    ['x1y2.eu-west-1.aoss.amazonaws.com', 'aoss eu-west-1 aws'],
    ['aps-workspaces.eu-west-1.amazonaws.com', 'aps eu-west-1 aws'],
    ['abc.appsync-api.eu-west-1.amazonaws.com', 'appsync eu-west-1 aws'],
    ['abc.lambda-url.eu-west-1.on.aws', 'lambda eu-west-1 aws'],
    ['svc-0.7d67968.vpc-lattice-svcs.eu-west-1.on.aws', 'vpc-lattice-svcs eu-west-1 aws'],
    ['a.b.c.vpc-lattice-svcs.eu-west-1.on.aws', 'none'],
    ['a.b.execute-api.eu-west-1.amazonaws.com', 'none'],
    ['svc-0.vpc-lattice-svcs.eu-west-1.on.aws', 'vpc-lattice-svcs eu-west-1 aws'],
    ['db.cluster-abc.eu-west-1.neptune.amazonaws.com', 'neptune-db eu-west-1 aws'],
    ['g-1.eu-west-1.neptune-graph.amazonaws.com', 'neptune-graph eu-west-1 aws'],
    ['a1b2-ats.iot.eu-west-1.amazonaws.com', 'iotdata eu-west-1 aws'],
    ['ingest-cell1.timestream.eu-west-1.amazonaws.com', 'timestream eu-west-1 aws'],
    ['vpce-0a1-b2.sqs.eu-west-1.vpce.amazonaws.com', 'sqs eu-west-1 aws'],
    ['management.deadline.eu-west-1.amazonaws.com', 'deadline eu-west-1 aws'],
    ['maps.geo.eu-west-1.amazonaws.com', 'geo-maps eu-west-1 aws'],
    ['routes.geo.us-gov-west-1.us-gov.amazonaws.com', 'geo-routes us-gov-west-1 aws-us-gov'],
  ])('%s', (host, expected) => {
    expect(found(host)).toBe(expected);
  });
});

describe('what a host of S3 says', () => {
  test.each([
    ['s3.eu-west-1.amazonaws.com', 's3 eu-west-1 aws'],
    ['s3.amazonaws.com', 's3 us-east-1 aws'],
    ['s3-eu-west-1.amazonaws.com', 's3 eu-west-1 aws'],
    ['b.s3-us-gov-west-1.amazonaws.com', 's3 us-gov-west-1 aws-us-gov b'],
    ['b.s3.eu-west-1.amazonaws.com', 's3 eu-west-1 aws b'],
    ['my.dotted.bucket.s3.eu-west-1.amazonaws.com', 's3 eu-west-1 aws my.dotted.bucket'],
    ['s3.us-east-1.s3.eu-west-1.amazonaws.com', 's3 eu-west-1 aws s3.us-east-1'],
    ['eu-west-1.s3.us-east-2.amazonaws.com', 's3 us-east-2 aws eu-west-1'],
    ['dualstack.s3.us-east-2.amazonaws.com', 's3 us-east-2 aws dualstack'],
    ['b.s3.dualstack.eu-west-1.amazonaws.com', 's3 eu-west-1 aws b'],
    ['b.s3-fips.dualstack.us-east-1.amazonaws.com', 's3 us-east-1 aws b'],
    ['b.s3.cn-north-1.amazonaws.com.cn', 's3 cn-north-1 aws-cn b'],
    ['b.s3.amazonaws.com', 's3 us-east-1 aws b'],
    ['b.s3-accelerate.amazonaws.com', 's3 - aws b'],
    ['b.s3-accelerate.dualstack.amazonaws.com', 's3 - aws b'],
    ['ap-123456789012.s3-accesspoint.eu-west-1.amazonaws.com', 's3 eu-west-1 aws accesspoint/ap-123456789012'],
    [
      'ap-123456789012.s3-accesspoint-fips.dualstack.us-east-1.amazonaws.com',
      's3 us-east-1 aws accesspoint/ap-123456789012',
    ],
    ['ap-1.s3-object-lambda.eu-west-1.amazonaws.com', 's3-object-lambda eu-west-1 aws accesspoint/ap-1'],
    ['ap-1.op-2.s3-outposts.eu-west-1.amazonaws.com', 's3-outposts eu-west-1 aws outpost/op-2/accesspoint/ap-1'],
    ['abc.mrap.accesspoint.s3-global.amazonaws.com', 's3 - aws accesspoint/abc.mrap'],
    ['b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com', 's3express us-east-1 aws b--use1-az4--x-s3'],
    ['b--use1-az4--x-s3.s3express-fips-use1-az4.us-east-1.amazonaws.com', 's3express us-east-1 aws b--use1-az4--x-s3'],
    ['s3express-control.us-east-1.amazonaws.com', 's3express us-east-1 aws'],
    ['123456789012.s3-control.eu-west-1.amazonaws.com', 's3 eu-west-1 aws'],
    ['b.bucket.vpce-0a1.s3.eu-west-1.vpce.amazonaws.com', 's3 eu-west-1 aws b'],
    ['bucket.vpce-0a1.s3.eu-west-1.vpce.amazonaws.com', 's3 eu-west-1 aws'],
    ['ap-1.accesspoint.vpce-0a1.s3.eu-west-1.vpce.amazonaws.com', 's3 eu-west-1 aws accesspoint/ap-1'],
    // A website has no API, a bucket of one zone is in no other.
    ['b.s3-website-eu-west-1.amazonaws.com', 'none'],
    ['b--use1-az4--x-s3.s3express-use1-az5.us-east-1.amazonaws.com', 'none'],
  ])('%s', (host, expected) => {
    expect(found(host)).toBe(expected);
  });

  test('a host that administers S3 has no bucket in its paths', () => {
    expect(fromHost({ host: '123456789012.s3-control.eu-west-1.amazonaws.com' })?.control).toBe(true);
    expect(fromHost({ host: 's3.eu-west-1.amazonaws.com' })?.control).toBeUndefined();
  });
});

describe('a host that only looks like AWS', () => {
  test.each([
    's3.eu-west-1.amazonaws.com.evil.org',
    'evil-amazonaws.com',
    's3.eu-west-1.evil-amazonaws.com',
    's3.eu-west-1.amazonaws.com.',
    'amazonaws.com',
    '.amazonaws.com',
    's3..amazonaws.com',
    'xn--s3.eu-west-1.amazonaws.com',
    'b.xn--80ak6aa92e.s3.eu-west-1.amazonaws.com',
    's3.eu-west-1.amazonaws.com:443',
    's3.eu-west-1.amazonaws.com/x',
    's3.eu-west-1.amazonaws.com@evil',
    'S3.eu-west-1.amazonaws.com',
    's3_.eu-west-1.amazonaws.com',
    's3.eu-west-1.amazonaws.co',
    's3.eu-west-1.amazonaws.com.cn.evil',
    `${'a'.repeat(64)}.s3.eu-west-1.amazonaws.com`,
    `${'a.'.repeat(120)}s3.eu-west-1.amazonaws.com`,
    '127.0.0.1',
    '',
  ])('%j is none', (host) => {
    expect([isAwsHost(host), fromHost({ host })]).toEqual([false, undefined]);
  });

  test.each([
    's3.cn-north-1.amazonaws.com',
    's3.eu-west-1.amazonaws.com.cn',
    'dynamodb.us-gov-west-1.amazonaws.eu',
    'nosuchservice.eu-west-1.amazonaws.com',
    'foo.dynamodb.eu-west-1.amazonaws.com',
    'dynamodb.nowhere.amazonaws.com',
    'account.amazonaws.com',
    'account.eu-west-1.amazonaws.com',
    'us-gov.amazonaws.com',
    'eu-west-1.amazonaws.com',
    'console.aws.amazonaws.com',
    'constructor.eu-west-1.amazonaws.com',
    'execute-api.eu-west-1.amazonaws.com',
  ])('%j belongs to AWS, but to no service that is known, or not there', (host) => {
    expect([isAwsHost(host), fromHost({ host })]).toEqual([true, undefined]);
  });
});

describe('a scope and a host', () => {
  const agrees = (service: string, region: string | undefined, host: string): boolean =>
    hostAgrees({ service, region }, { host });

  test('P12: disagree in the service or in the region', () => {
    expect(agrees('dynamodb', 'eu-west-1', 'dynamodb.eu-west-1.amazonaws.com')).toBe(true);
    expect(agrees('s3', 'us-east-1', 'dynamodb.eu-west-1.amazonaws.com')).toBe(false);
    expect(agrees('dynamodb', 'us-east-1', 'dynamodb.eu-west-1.amazonaws.com')).toBe(false);
    expect(agrees('sts', 'eu-west-1', 's3.eu-west-1.amazonaws.com')).toBe(false);
    expect(agrees('s3', 'us-gov-west-1', 's3.us-east-1.amazonaws.com')).toBe(false);
    expect(agrees('nosuch', 'eu-west-1', 'nosuch.eu-west-1.amazonaws.com')).toBe(false);
  });

  test('agree on a host that is none of AWS', () => {
    expect(agrees('s3', 'auto', 'minio.local')).toBe(true);
  });

  test('of a service with one region are signed for that one', () => {
    const iam = fromHost({ host: 'iam.amazonaws.com' })!;
    expect(scopeAt(iam, { service: 'iam', region: 'eu-west-1' })).toEqual({ service: 'iam', region: 'us-east-1' });
    expect(scopeAt(iam, { service: 'iam', region: 'cn-north-1' })).toBeUndefined();
    const shared = fromHost({ host: 'cloudfront.amazonaws.com' })!;
    expect(scopeAt(shared, { service: 'cloudfront', region: 'us-gov-east-1' })?.region).toBe('us-gov-west-1');
  });

  test('of a bucket without a region in its host are signed for that of the scope', () => {
    const bucket = fromHost({ host: 'b.s3.amazonaws.com' })!;
    expect(scopeAt(bucket, { service: 's3', region: 'eu-west-1' })).toEqual({ service: 's3', region: 'eu-west-1' });
    expect(scopeAt(bucket, { service: 's3', region: 'cn-north-1' })).toBeUndefined();
  });

  test('of a multi-region access point need a set of regions', () => {
    const mrap = fromHost({ host: 'abc.mrap.accesspoint.s3-global.amazonaws.com' })!;
    expect(scopeAt(mrap, { service: 's3' })).toEqual({ service: 's3' });
    expect(scopeAt(mrap, { service: 's3', region: 'eu-west-1' })).toBeUndefined();
  });

  test('agree under a second signing name', () => {
    expect(agrees('geo', 'eu-west-1', 'maps.geo.eu-west-1.amazonaws.com')).toBe(true);
    expect(agrees('iotdevicegateway', 'eu-west-1', 'a1-ats.iot.eu-west-1.amazonaws.com')).toBe(true);
  });
});

test('every host that a scope leads to leads back to that scope', () => {
  const regions = PARTITIONS.map(({ globalRegion }) => globalRegion).concat('eu-west-1', 'cn-north-1', 'us-gov-east-1');
  const head = { method: 'POST', target: '/', headers: ['x-amz-account-id', '123456789012'] };
  const wrong: string[] = [];
  let checked = 0;
  for (const { service, prefix } of allEndpoints()) {
    for (const region of regions) {
      const endpoint = fromScope({ service, region }, head, prefix);
      const facts = fromHost(endpoint.origin);
      const scope = facts === undefined ? undefined : scopeAt(facts, { service, region });
      checked += 1;
      if (scope?.region !== endpoint.region || scope.service !== service || facts?.partition !== endpoint.partition) {
        // Two partitions share a suffix, and with it the hosts that name no region.
        if (facts?.elsewhere?.[endpoint.partition] === endpoint.region) continue;
        wrong.push(`${service} ${prefix} ${region}: ${endpoint.origin.host}`);
      }
    }
  }
  expect(wrong).toEqual([]);
  expect(checked).toBeGreaterThan(4000);
});
