import type { ChannelPurpose, GlobalAsk } from '../relay/index.ts';
import type { Use } from './use.ts';

/** A listener upstream that the downstream asks for. */
export type ListenAsk = Extract<GlobalAsk, { kind: 'tcpip-forward' | 'streamlocal-forward' }>;

/** Of one connection; more is no use that anybody has. */
export const LISTENS_MAX = 256;

interface Listen {
  readonly ask: ListenAsk;
  readonly use: Use;
  /** Undefined until the upstream has said yes; of port 0 the one that it took, of a socket 0. */
  port: number | undefined;
}

/** Hosts that stand for more than one address (RFC 4254 §7.1): what comes from there may bear any of them. */
const WIDE: ReadonlySet<string> = new Set(['', '*', '0.0.0.0', '::', 'localhost']);

/** All that the upstream listens on for one connection, because policy said yes. */
export class RemoteListens {
  readonly #listens = new Set<Listen>();

  get size(): number {
    return this.#listens.size;
  }

  /** `answered`: whether the upstream will say yes or no; where it will not, the listener counts from now on. */
  add(ask: ListenAsk, use: Use, answered: boolean): void {
    this.#listens.add({ ask, use, port: answered ? undefined : portOf(ask) });
  }

  /** What the upstream answered to `ask`: `port` is the one that it chose, where it was to choose. */
  answer(ask: ListenAsk, yes: boolean, port: number | undefined): void {
    for (const listen of this.#listens) {
      if (listen.ask !== ask) continue;
      if (yes) listen.port = ask.kind === 'tcpip-forward' && ask.port === 0 ? port : portOf(ask);
      else this.#end(listen);
    }
  }

  /** Whose channel it is that the upstream opens; undefined: nobody's who asked for it. */
  of(purpose: ChannelPurpose): Use | undefined {
    for (const { ask, port, use } of this.#listens) {
      if (port === undefined) continue;
      if (purpose.kind === 'forwarded-streamlocal') {
        if (ask.kind === 'streamlocal-forward' && ask.path === purpose.path) return use;
      } else if (purpose.kind === 'forwarded-tcpip' && ask.kind === 'tcpip-forward' && port === purpose.port) {
        if (ask.host === purpose.host || WIDE.has(ask.host)) return use;
      }
    }
    return undefined;
  }

  /** Whether a request to cancel is about one of these. */
  has(cancel: GlobalAsk): boolean {
    return this.#named(cancel) !== undefined;
  }

  cancel(cancel: GlobalAsk): void {
    const listen = this.#named(cancel);
    if (listen !== undefined) this.#end(listen);
  }

  endAll(): void {
    for (const listen of this.#listens) this.#end(listen);
  }

  /** Port 0 is as good as the one that the upstream took: clients send either. */
  #named(cancel: GlobalAsk): Listen | undefined {
    for (const listen of this.#listens) {
      const { ask, port } = listen;
      if (cancel.kind === 'cancel-streamlocal-forward') {
        if (ask.kind === 'streamlocal-forward' && ask.path === cancel.path) return listen;
      } else if (cancel.kind === 'cancel-tcpip-forward' && ask.kind === 'tcpip-forward') {
        if (ask.host === cancel.host && (cancel.port === port || cancel.port === ask.port)) return listen;
      }
    }
    return undefined;
  }

  #end(listen: Listen): void {
    this.#listens.delete(listen);
    listen.use.end();
  }
}

function portOf(ask: ListenAsk): number {
  return ask.kind === 'tcpip-forward' ? ask.port : 0;
}
