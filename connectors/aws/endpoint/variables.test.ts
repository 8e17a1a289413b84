import { expect, test } from 'vitest';
import { fromScope } from './from-scope.ts';
import { endpointOfPrefix } from './services.ts';
import { endpointVariables } from './variables.ts';

test('every client of a signing name with several endpoints has a variable that leads to its own', () => {
  const variables = new Map(endpointVariables().map(({ name, prefix }) => [name, prefix]));
  expect(variables.get('AWS_ENDPOINT_URL_BEDROCK_RUNTIME')).toBe('bedrock-runtime');
  expect(variables.get('AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME')).toBe('runtime.sagemaker');
  expect(variables.get('AWS_ENDPOINT_URL_SESV2')).toBe('email');
  expect(variables.get('AWS_ENDPOINT_URL_S3')).toBe('s3');
  expect(variables.get('AWS_ENDPOINT_URL_DYNAMODB_STREAMS')).toBe('streams.dynamodb');
  expect(variables.has('AWS_ENDPOINT_URL_SQS')).toBe(false);
  const head = { method: 'POST', target: '/', headers: ['x-amz-account-id', '123456789012'] };
  for (const [name, prefix] of variables) {
    expect(name).toMatch(/^AWS_ENDPOINT_URL_[A-Z0-9_]+$/);
    const { service } = endpointOfPrefix(prefix)!;
    expect(fromScope({ service, region: 'eu-west-1' }, head, prefix).service).toBe(service);
  }
});
