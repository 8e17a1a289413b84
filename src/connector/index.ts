/** The connector SDK, published as `secretless-sidecar/connector`: all that a connector may know of the sidecar. */
export * from './connector.ts';
export * from './handshake.ts';
export * from './head.ts';
export * from './origin.ts';
export * from './pattern/pattern.ts';
export * from './relay.ts';
export * from './spent.ts';
export { readPem } from './pem-file.ts';
export * from './text.ts';
export type { Credentials } from '../credential/lease.ts';
export { Secret } from '../credential/secret.ts';
export { SidecarError, type ErrorCode, type Fault } from '../error.ts';
export type { AwsFacts, AwsObject, Facts, GitFacts, Principal, SshFacts, SshRequest } from '../policy/request.ts';
export { Type, type Static, type TSchema } from '../schema.ts';
export { DURATION_PATTERN, parseDuration } from '../units.ts';
