/** What a request to AWS is: the facts that rules match on. */
export { awsFactsOf, type FactsPlace, returnsCredentials } from './aws-facts.ts';
export { needsForm } from './action.ts';
