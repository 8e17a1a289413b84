import type { ChannelOpen } from '../channel-open.ts';
import type { ChannelRequest } from '../channel-request.ts';
import type { GlobalRequest } from '../global-request.ts';
import { DROP, FORWARD, REFUSE, type Side, type Verdict, type Watcher } from '../watcher.ts';

/** Variables that OpenSSH servers take by default, and the one that git speaks its second protocol by. */
const ENVIRONMENT = /^(LANG|LC_[A-Z]+|TZ|COLORTERM|NO_COLOR|GIT_PROTOCOL)$/;

/**
 * Without any rule: sessions with commands, shells, subsystems and terminals pass; nothing that reaches past
 * them does, in either direction: no ports, no sockets, no agent, no X11. What is unknown is refused.
 */
export function sessionWatcher(): Watcher {
  return { channelOpen, channelRequest, globalRequest };
}

function channelOpen(from: Side, { purpose }: ChannelOpen): Verdict {
  return from === 'downstream' && purpose.kind === 'session' ? FORWARD : REFUSE;
}

function channelRequest(from: Side, _channel: unknown, { ask }: ChannelRequest): Verdict {
  switch (ask.kind) {
    case 'exec':
    case 'shell':
    case 'subsystem':
    case 'pty':
    case 'window-change':
    case 'signal':
    case 'break':
      return from === 'downstream' ? FORWARD : REFUSE;
    case 'env':
      return from === 'downstream' && ENVIRONMENT.test(ask.name.toString('latin1')) ? FORWARD : REFUSE;
    case 'exit-status':
    case 'exit-signal':
    case 'xon-xoff':
      return from === 'upstream' ? FORWARD : REFUSE;
    case 'end-of-write':
    case 'keepalive':
      return FORWARD;
    case 'agent-forwarding':
    case 'x11-forwarding':
    case 'other':
      return REFUSE;
  }
}

function globalRequest(from: Side, { ask }: GlobalRequest): Verdict {
  switch (ask.kind) {
    case 'keepalive':
      return FORWARD;
    case 'no-more-sessions':
      return from === 'downstream' ? FORWARD : REFUSE;
    // The upstream's keys under the sidecar's name: the client would learn them and refuse the sidecar.
    case 'host-keys':
      return DROP;
    case 'tcpip-forward':
    case 'cancel-tcpip-forward':
    case 'streamlocal-forward':
    case 'cancel-streamlocal-forward':
    case 'other':
      return REFUSE;
  }
}
