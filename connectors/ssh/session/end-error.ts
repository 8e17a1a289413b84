import { SidecarError } from 'secretless-sidecar/connector';
import type { RelayEnd } from '../relay/index.ts';
import type { SshError } from '../transport/index.ts';

/** Why a downstream did not get as far as to say who it is; undefined where it only went away. */
export function arrivalError(error: unknown, signal: AbortSignal): SidecarError | undefined {
  const { fault, message } = error as SshError;
  switch (fault) {
    case 'closed':
      return undefined;
    case 'timeout':
      return new SidecarError('login-timeout', { cause: error });
    case 'protocol':
    case 'algorithms':
    case 'denied':
      return new SidecarError(fault === 'denied' ? 'caller-unproven' : 'downstream-protocol', {
        detail: message,
        cause: error,
        ...(fault === 'denied' && { next: 'use the key or the token that this agent was given for this sidecar' }),
      });
    case 'aborted':
      return signal.aborted ? (signal.reason as SidecarError) : internal(error);
    case 'unfit':
    case 'host-key':
    case 'unsupported':
    case undefined:
      return internal(error);
  }
  return fault satisfies never;
}

/** Why two joined connections ended; undefined where all went as it should. `busy`: channels were open. */
export function joinedError({ side, error }: RelayEnd, busy: boolean): SidecarError | undefined {
  const detail = error.message;
  if (side === 'relay') return error.cause instanceof SidecarError ? error.cause : internal(error);
  if (side === 'downstream') {
    if (error.fault === 'closed') return undefined;
    return new SidecarError(error.fault === 'timeout' ? 'downstream-closed' : 'downstream-protocol', { detail });
  }
  if (error.fault === 'closed') return busy ? new SidecarError('upstream-closed', { detail }) : undefined;
  return new SidecarError(error.fault === 'timeout' ? 'upstream-timeout' : 'upstream-protocol', { detail });
}

function internal(cause: unknown): SidecarError {
  return new SidecarError('internal', { cause, ...(cause instanceof Error && { detail: cause.message }) });
}
