import { type Facts, type Permission, SidecarError, type SshFacts } from 'secretless-sidecar/connector';
import {
  type ChannelAsk,
  type ChannelOpen,
  type ChannelRequest,
  type ChannelTotals,
  type ChannelView,
  DROP,
  FORWARD,
  type GlobalRequest,
  REFUSE,
  type Side,
  type Verdict,
  type Watcher,
} from '../relay/index.ts';
import { commandText } from './command-text.ts';
import { socketDestination, tcpDestination, tcpListen } from './destination.ts';
import { readGitCommand } from './git-command.ts';
import { type ListenAsk, LISTENS_MAX, RemoteListens } from './remote-listens.ts';
import { Use } from './use.ts';
import { wordsFor } from './words.ts';

const REQUEST_SUCCESS = 81;

export interface WatcherOptions {
  /** Correlation id, for what the downstream is told. */
  readonly id: string;
  /** Who it is upstream. */
  readonly user: string;
  admit(facts: Facts): Promise<Permission>;
  /** Whether a variable goes on. */
  takesVariable(name: Uint8Array): boolean;
}

/** A channel from its opening on. */
interface Open {
  readonly view: ChannelView;
  /** What its bytes and its exit status count for. */
  carrier: Use | undefined;
  /** What ends with it. */
  readonly own: Use[];
}

type Lent = 'agent-forwarding' | 'x11-forwarding';

/** Asks policy about all that the downstream wants beyond its login; what it cannot be asked about does not pass. */
export class SessionWatcher implements Watcher {
  readonly #options: WatcherOptions;
  readonly #channels = new Map<number, Open>();
  readonly #listens = new RemoteListens();
  /** What the upstream may open channels for. */
  readonly #lent = new Map<Lent, Use>();
  #bytesUp = 0;
  #bytesDown = 0;
  #requests = 0;
  #retired: SidecarError | undefined;
  #over = false;
  /** Called when the last channel is over. */
  onRest: () => void = () => undefined;

  constructor(options: WatcherOptions) {
    this.#options = options;
  }

  /** Channels that are open, or about to be. */
  get openChannels(): number {
    return this.#channels.size;
  }

  /** Bytes of all channels so far. */
  get carried(): { readonly bytesUp: number; readonly bytesDown: number } {
    let [bytesUp, bytesDown] = [this.#bytesUp, this.#bytesDown];
    for (const { view } of this.#channels.values()) {
      bytesUp += view.totals.bytesUp;
      bytesDown += view.totals.bytesDown;
    }
    return { bytesUp, bytesDown };
  }

  /** Grows with everything that is asked for or carried, and with nothing else. */
  get activity(): number {
    const { bytesUp, bytesDown } = this.carried;
    return this.#requests + bytesUp + bytesDown;
  }

  /** Opens nothing from now on, and says why. */
  retire(reason: SidecarError): void {
    this.#retired ??= reason;
  }

  /** The connection is over, and with it all that was admitted. */
  end(): void {
    this.#over = true;
    for (const { view } of [...this.#channels.values()]) this.channelClosed(view, view.totals);
    this.#listens.endAll();
    for (const use of this.#lent.values()) use.end();
    this.#lent.clear();
  }

  channelOpen(from: Side, { purpose }: ChannelOpen, view: ChannelView): Verdict | Promise<Verdict> {
    this.#requests += 1;
    if (this.#retired !== undefined) return this.#refusal(this.#retired);
    if (from === 'upstream') return this.#openBack(view);
    switch (purpose.kind) {
      case 'session':
        this.#begin(view);
        return FORWARD;
      case 'direct-tcpip':
        return this.#forward(view, tcpDestination(purpose.host, purpose.port));
      case 'direct-streamlocal':
        return this.#forward(view, socketDestination(purpose.path));
      case 'forwarded-tcpip':
      case 'forwarded-streamlocal':
      case 'x11':
      case 'auth-agent':
      case 'other':
        return REFUSE;
    }
    return purpose satisfies never;
  }

  channelRequest(from: Side, view: ChannelView, { ask }: ChannelRequest): Verdict | Promise<Verdict> {
    if (ask.kind !== 'keepalive') this.#requests += 1;
    const channel = this.#channels.get(view.number);
    if (channel === undefined) return REFUSE;
    if (from === 'upstream') return passesDown(ask) ? FORWARD : REFUSE;
    return passesUp(ask) ? FORWARD : this.#sessionRequest(channel, ask);
  }

  globalRequest(from: Side, request: GlobalRequest): Verdict | Promise<Verdict> {
    const { ask, wantsReply } = request;
    // The upstream's keys under the sidecar's name: the client would learn them and refuse the sidecar.
    if (ask.kind === 'host-keys') return DROP;
    if (ask.kind === 'keepalive') return FORWARD;
    if (from === 'upstream') return REFUSE;
    this.#requests += 1;
    switch (ask.kind) {
      case 'no-more-sessions':
        return FORWARD;
      case 'tcpip-forward':
        // RFC 4254 §7.1: the answer to port 0 is the only way to know the port.
        if (ask.port === 0 && !wantsReply) return REFUSE;
        return this.#listen(ask, tcpListen(ask.host, ask.port), wantsReply);
      case 'streamlocal-forward':
        return this.#listen(ask, socketDestination(ask.path), wantsReply);
      case 'cancel-tcpip-forward':
      case 'cancel-streamlocal-forward':
        if (!this.#listens.has(ask)) return REFUSE;
        if (!wantsReply) this.#listens.cancel(ask);
        return FORWARD;
      case 'other':
        return REFUSE;
    }
    return ask satisfies never;
  }

  globalAnswered(_: Side, { ask }: GlobalRequest, answer: Buffer): void {
    const yes = answer[0] === REQUEST_SUCCESS;
    if (ask.kind === 'tcpip-forward' || ask.kind === 'streamlocal-forward') {
      this.#listens.answer(ask, yes, answer.length === 5 ? answer.readUInt32BE(1) : undefined);
    } else if (yes) {
      this.#listens.cancel(ask);
    }
  }

  channelClosed(view: ChannelView, totals: ChannelTotals): void {
    const channel = this.#channels.get(view.number);
    if (channel === undefined) return;
    this.#channels.delete(view.number);
    this.#bytesUp += totals.bytesUp;
    this.#bytesDown += totals.bytesDown;
    channel.carrier?.add(totals);
    for (const use of channel.own) use.end();
    if (this.#channels.size === 0 && !this.#over) this.onRest();
  }

  #begin(view: ChannelView, carrier?: Use): Open {
    const channel = { view, carrier, own: [] };
    this.#channels.set(view.number, channel);
    return channel;
  }

  /** A channel that the upstream opens belongs to something that was admitted, or to nobody. */
  #openBack(view: ChannelView): Verdict {
    const { kind } = view.purpose;
    const lent = kind === 'auth-agent' ? 'agent-forwarding' : kind === 'x11' ? 'x11-forwarding' : undefined;
    const use = lent === undefined ? this.#listens.of(view.purpose) : this.#lent.get(lent);
    if (use === undefined) return REFUSE;
    this.#begin(view, use);
    return FORWARD;
  }

  async #forward(view: ChannelView, destination: string | undefined): Promise<Verdict> {
    if (destination === undefined) return REFUSE;
    const channel = this.#begin(view);
    const verdict = await this.#admit({ request: 'forward', destination }, (use) => this.#give(channel, use, true));
    if (verdict.do === 'forward' && this.#retired === undefined) return verdict;
    this.channelClosed(view, view.totals);
    return this.#retired === undefined ? verdict : this.#refusal(this.#retired);
  }

  #sessionRequest(channel: Open, ask: ChannelAsk): Verdict | Promise<Verdict> {
    if (channel.view.purpose.kind !== 'session') return REFUSE;
    switch (ask.kind) {
      case 'env':
        return this.#options.takesVariable(ask.name) ? FORWARD : REFUSE;
      case 'exec':
        return this.#start(channel, execFacts(ask.command));
      case 'shell':
        return this.#start(channel, { request: 'shell' });
      case 'subsystem':
        return this.#start(channel, { request: 'subsystem', subsystem: ask.name });
      case 'pty':
        return this.#admit({ request: 'pty' }, (use) => this.#give(channel, use, false));
      case 'agent-forwarding':
      case 'x11-forwarding':
        return this.#lend(ask.kind);
      case 'window-change':
      case 'signal':
      case 'break':
      case 'end-of-write':
      case 'keepalive':
      case 'exit-status':
      case 'exit-signal':
      case 'xon-xoff':
      case 'other':
        return REFUSE;
    }
    return ask satisfies never;
  }

  #start(channel: Open, facts: SshFacts): Promise<Verdict> {
    return this.#admit(facts, (use) => this.#give(channel, use, true));
  }

  /** Once for all channels of the connection, as the servers have it. */
  #lend(request: Lent): Verdict | Promise<Verdict> {
    if (this.#lent.has(request)) return FORWARD;
    return this.#admit({ request }, (use) => {
      this.#lent.set(request, use);
      return true;
    });
  }

  async #listen(ask: ListenAsk, destination: string | undefined, wantsReply: boolean): Promise<Verdict> {
    if (destination === undefined || this.#retired !== undefined || this.#listens.size >= LISTENS_MAX) return REFUSE;
    return this.#admit({ request: 'listen', destination }, (use) => {
      if (this.#retired !== undefined) return false;
      this.#listens.add(ask, use, wantsReply);
      return true;
    });
  }

  /** False where the channel is gone. */
  #give(channel: Open, use: Use, carries: boolean): boolean {
    if (this.#channels.get(channel.view.number) !== channel) return false;
    channel.own.push(use);
    if (carries) channel.carrier = use;
    return true;
  }

  /** `take` says whether there is still use for it. */
  async #admit(facts: SshFacts, take: (use: Use) => boolean): Promise<Verdict> {
    try {
      const use = new Use(await this.#options.admit({ ssh: { user: this.#options.user, ...facts } }));
      if (!this.#over && take(use)) return FORWARD;
      use.end();
      return REFUSE;
    } catch (error) {
      if (error instanceof SidecarError) return this.#refusal(error);
      throw error;
    }
  }

  #refusal(error: SidecarError): Verdict {
    return { do: 'refuse', say: wordsFor(error, this.#options.id) };
  }
}

function execFacts(bytes: Uint8Array): SshFacts {
  const command = commandText(bytes);
  const git = readGitCommand(command);
  if (git === undefined || git === 'unclear') return { request: 'exec', command, ...(git !== undefined && { git }) };
  return { request: 'exec', command, git: { repository: git.repository, push: git.push } };
}

/** What changes nothing of what was admitted. */
function passesUp({ kind }: ChannelAsk): boolean {
  return ['window-change', 'signal', 'break', 'end-of-write', 'keepalive'].includes(kind);
}

function passesDown({ kind }: ChannelAsk): boolean {
  return ['exit-status', 'exit-signal', 'xon-xoff', 'end-of-write', 'keepalive'].includes(kind);
}
