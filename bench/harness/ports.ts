import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Child } from './child.ts';

export { freePorts } from '../../src/cli/demo/ports.ts';

const POLL_MS = 20;

/** Waits until the child accepts connections. Throws where it ends instead. */
export async function untilAccepting(child: Child, name: string, port: number): Promise<void> {
  while (!(await accepts(port))) {
    if (child.ended) throw new Error(`${name} did not start:\n${child.said}`);
    await pause(POLL_MS);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const settle = (yes: boolean): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
  });
}
