import type { Socket } from 'node:net';
import type { Dialer } from '../http/dialer.ts';
import { within } from './deadline.ts';
import { dial } from './dial.ts';
import type { Guard, GuardMode } from './guard.ts';
import { raceTo } from './race.ts';

export interface GuardedDialerOptions {
  readonly guard: Guard;
  readonly mode: GuardMode;
  /** Seconds for everything: lookup, and all addresses tried. */
  readonly connectSeconds: number;
  /** In place of `dial`. */
  readonly connect?: Connect;
}

/** Connects to exactly this address. */
export type Connect = (
  address: { readonly host: string; readonly port: number },
  seconds: number,
  signal: AbortSignal,
) => Promise<Socket>;

/** Dials what the guard lets through. */
export function openGuardedDialer(options: GuardedDialerOptions): Dialer {
  const { guard, mode, connectSeconds, connect = dial } = options;
  return {
    dial: (host, port, signal) =>
      within(connectSeconds, signal, host, async (inner) => {
        const addresses = await guard.addresses(host, mode, inner);
        return raceTo(addresses, inner, (address, until) => connect({ host: address, port }, connectSeconds, until));
      }),
  };
}
