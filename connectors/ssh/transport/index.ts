/** SSH as the relay needs it: two logins, and whole messages in between. See each file for what it adds to ssh2. */
export { acceptSsh, type AcceptOptions, type ServerLeg } from './server-login.ts';
export { loginSsh, type ClientLeg, type LoginMethod, type LoginOptions } from './client-login.ts';
export { IDENT } from './ident.ts';
export type { AgentToken, Identity } from './identity.ts';
export { answerWithPassword, type AnswerPrompt, type Prompt } from './keyboard-interactive.ts';
export { hostKeyOf, loginKey, type LoginAlgorithm, type LoginKey } from './login-key.ts';
export { HOST_KEY_ALGORITHMS, type Algorithms } from './algorithms.ts';
export type { OfferedKey } from './offered-key.ts';
export { RawSide, type RawReader } from './raw-side.ts';
export { SshError, type SshFault } from './ssh-error.ts';
export { ssh2 } from './ssh2-protocol.ts';
