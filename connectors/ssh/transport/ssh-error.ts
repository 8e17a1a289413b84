/**
 * Why a conversation ended or was never begun.
 *
 * - `unfit`: the ssh2 that is installed is not the one this code was written for, or an option makes no sense.
 * - `protocol`: the peer broke the protocol or a limit of ours.
 * - `algorithms`: no algorithm in common, or one that the peer may only use together with strict key exchange.
 * - `host-key`: the upstream's host key is not one that we know.
 * - `denied`: a way of logging in was refused that the peer takes.
 * - `unsupported`: the peer takes only ways of logging in that there is nothing for.
 * - `timeout`: the login took too long, or a rekey, or the answers to keepalives.
 * - `closed`: the peer or the network ended it.
 * - `aborted`: our own caller ended it.
 */
export type SshFault =
  'unfit' | 'protocol' | 'algorithms' | 'host-key' | 'denied' | 'unsupported' | 'timeout' | 'closed' | 'aborted';

/** What the transport and the relay throw. The message is for logs, holds no secret and no text of the peer. */
export class SshError extends Error {
  readonly fault: SshFault;

  constructor(fault: SshFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SshError';
    this.fault = fault;
  }
}
