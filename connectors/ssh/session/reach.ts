import type { Duplex } from 'node:stream';
import { type Address, type RelayPassage, SidecarError } from 'secretless-sidecar/connector';
import type { SshCredential } from '../upstream/index.ts';
import { tcpDestination } from './destination.ts';
import { enter } from './enter.ts';
import type { Served } from './served.ts';
import { TcpChannel } from './tcp-channel.ts';

/**
 * Leads through the service's upstream to `address`: the way of a jump host (`ssh -J`). Resolves with the bytes of the
 * connection behind it; its end ends the login. Errors: all that `enter` has, `upstream-unreachable`.
 */
export async function reachThrough(
  passage: RelayPassage<SshCredential>,
  { config, memory }: Served,
  address: Address,
): Promise<Duplex> {
  const destination = 'path' in address ? undefined : tcpDestination(address.host, address.port);
  if ('path' in address || destination === undefined) {
    throw new SidecarError('config-invalid', { detail: 'behind another host there are names and ports only' });
  }
  const { signal } = passage;
  const facts = { request: 'jump', destination } as const;
  const { leg, loan } = await enter(passage, { config, memory, facts, signal });
  const channel = new TcpChannel(leg.raw, address, signal);
  channel.once('close', () => loan.end(channel.carried));
  const late = new SidecarError('upstream-unreachable', { detail: 'the way there does not answer' });
  const timer = setTimeout(() => channel.destroy(late), passage.loginSeconds * 1000);
  try {
    await channel.opened;
  } finally {
    clearTimeout(timer);
  }
  return channel;
}
