import type { Config, ListenAddress, ServiceConfig } from '../../config/config.ts';
import { SidecarError } from '../../error.ts';
import type { ListenerStatus, SidecarStatus } from '../../sidecar/state.ts';

/** A sidecar that runs, ours or another's, as a program beside it needs to know it. */
export interface Standing {
  /** Its configuration; without `egress` where nothing listens for it. */
  readonly config: Config;
  /** With the addresses as bound. */
  readonly services: readonly ServiceConfig[];
  /** Where the egress listener is; undefined where there is none, or none on TCP. */
  readonly egress: Door | undefined;
}

export interface Door {
  readonly host: string;
  readonly port: number;
}

/** What `status` tells, put together with the file. */
export function standingOf(config: Config, { listeners }: SidecarStatus): Standing {
  const services = config.services.map((service) => ({ ...service, listenOn: boundOf(service, listeners) }));
  const egress = egressDoor(listeners);
  // The listener that `run` adds to a file without one is not there where `start` read it.
  const isLed = listeners.some((listener) => listener.egress !== undefined);
  return { config: isLed ? config : { ...config, egress: undefined }, services, egress };
}

/** A port that was any free one is the one it became. */
function boundOf({ name, listenOn }: ServiceConfig, listeners: readonly ListenerStatus[]): ListenAddress[] {
  const own = listeners.filter(({ services, egress }) => egress === undefined && services.includes(name));
  const free = own.flatMap(({ address }) => doorOf(address) ?? []);
  return listenOn.map((address) => {
    if (address.kind !== 'tcp' || address.port !== 0) return address;
    const bound = free.find(({ host }) => host === address.host);
    return bound === undefined ? address : { ...address, port: bound.port };
  });
}

/** The first on TCP. */
function egressDoor(listeners: readonly ListenerStatus[]): Door | undefined {
  const doors = listeners.flatMap(({ address, egress }) => (egress === undefined ? [] : (doorOf(address) ?? [])));
  return doors[0];
}

/** Of `tcp://127.0.0.1:3128`, `tcp://[::1]:3128`. */
function doorOf(address: string): Door | undefined {
  const [, host, port] = /^tcp:\/\/(.*):(\d+)$/.exec(address) ?? [];
  return host === undefined ? undefined : { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}

/** Whose token the program shows. */
export type Caller =
  | { readonly agent: string; readonly reference: { readonly from: string; readonly get: string } }
  /** The listener asks for none. */
  | 'nobody';

/** Errors: `config-invalid` where nobody could call, `--agent` is asked for or no agent of that name has a token. */
export function callerOf({ agents, egress }: Config, agent: string | undefined): Caller {
  const tokens = Object.entries(agents).flatMap(([name, { token }]) => (token === undefined ? [] : [{ name, token }]));
  const named = tokens.find(({ name }) => name === agent);
  if (named !== undefined) return { agent: named.name, reference: named.token };
  const names = tokens.map(({ name }) => name).join(' or ');
  if (agent !== undefined && agent !== (egress?.agent ?? (tokens.length === 0 ? 'local' : undefined))) {
    const known = names === '' ? 'none has a token here: write `agents.NAME.token`' : `ask for ${names}`;
    throw new SidecarError('config-invalid', { detail: `--agent ${agent} has no token; ${known}` });
  }
  if (agent !== undefined || egress?.agent !== undefined || tokens.length === 0) return 'nobody';
  throw new SidecarError('config-invalid', { detail: `say whose program it is: --agent ${names}` });
}
