/** Where requests to AWS go; pure, and without a guess. */
export { type Endpoint, fromScope, type ScopePlace, splitPrefix } from './from-scope.ts';
export { fromHost, hostAgrees, isAwsHost, scopeAt } from './from-host.ts';
export type { HostFacts } from './host-facts.ts';
export { endpointVariables, type EndpointVariable } from './variables.ts';
