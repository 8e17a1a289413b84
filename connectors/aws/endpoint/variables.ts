import { type ServiceEndpoint, allEndpoints, endpointsOf } from './services.ts';

/** One variable that an SDK reads the endpoint of a client from. */
export interface EndpointVariable {
  /** `AWS_ENDPOINT_URL_BEDROCK_RUNTIME`. */
  readonly name: string;
  /** What stands after `/_aws/` in its value: `bedrock-runtime`. */
  readonly prefix: string;
}

/**
 * The variables that clients of signing names with several endpoints need, sorted; all other clients find their way
 * with `AWS_ENDPOINT_URL` alone. A client whose operations are spread over hosts is left out: it needs no variable where
 * the requests tell, and none would do where they do not.
 */
export function endpointVariables(): EndpointVariable[] {
  const prefixes = new Map<string, string[]>();
  for (const endpoint of allEndpoints()) {
    if (endpointsOf(endpoint.service).length === 1) continue;
    for (const variable of endpoint.variables) {
      prefixes.set(variable, [...(prefixes.get(variable) ?? []), endpoint.prefix]);
    }
  }
  return [...prefixes]
    .filter(([, found]) => found.length === 1)
    .map(([variable, [prefix]]) => ({ name: `AWS_ENDPOINT_URL_${variable}`, prefix: prefix! }))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** What an operator sets for an endpoint. */
export function variableFor({ variables, prefix }: ServiceEndpoint): string {
  return `AWS_ENDPOINT_URL_${variables[0]!}=http://127.0.0.1:PORT/_aws/${prefix}`;
}
