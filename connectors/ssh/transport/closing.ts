import type { Duplex } from 'node:stream';
import { DisconnectReason } from './message-numbers.ts';
import type { SshError } from './ssh-error.ts';

const FLUSH_SECONDS = 30;
const CLOSE_SECONDS = 2;

/** What was sent still goes out to a peer that reads; one that does not is cut off. */
export function closeSoon(socket: Duplex): void {
  const cut = (): void => void socket.destroy();
  let timer = setTimeout(cut, FLUSH_SECONDS * 1000).unref();
  socket.once('finish', () => {
    clearTimeout(timer);
    timer = setTimeout(cut, CLOSE_SECONDS * 1000).unref();
  });
  socket.once('close', () => clearTimeout(timer));
}

/** What the peer is told in numbers (RFC 4253 §11.1). */
export function reasonOf(error: SshError): number {
  switch (error.fault) {
    case 'host-key':
      return DisconnectReason.hostKeyNotVerifiable;
    case 'algorithms':
      return DisconnectReason.keyExchangeFailed;
    case 'denied':
    case 'unsupported':
      return DisconnectReason.noMoreAuthMethods;
    case 'protocol':
      return DisconnectReason.protocolError;
    case 'timeout':
    case 'closed':
    case 'aborted':
    case 'unfit':
      return DisconnectReason.byApplication;
  }
  error.fault satisfies never;
}
