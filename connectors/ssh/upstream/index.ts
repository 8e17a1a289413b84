/** From credentials to a login upstream. */
export { credentials, type SshCredential } from './credentials.ts';
export { checkCredentials } from './check.ts';
export { logIn, type UpstreamLogin } from './log-in.ts';
export { LoginMemory } from './login-memory.ts';
export { upstreamOf, type Upstream } from './target.ts';
export { isWorthAnother } from './upstream-error.ts';
