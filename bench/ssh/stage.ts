import { builtCommand, sourceCommand } from '../harness/build.ts';
import { placeProcesses, type Placement } from '../harness/cpu.ts';
import { hasAddon } from './addon.ts';
import type { Client } from './client.ts';
import type { SshOptions } from './options.ts';
import { startServer, type Server } from './server.ts';
import { startSidecar } from './sidecar.ts';
import type { Sidecar, Target } from './target.ts';

/** Names of the sidecar with ssh2's native addon, and without. */
export const WITH_ADDON = 'sidecar, addon';
export const WITHOUT_ADDON = 'sidecar';

/** All that a measurement needs: the servers, the client, and a way to start what is measured. */
export interface Stage {
  readonly options: SshOptions;
  readonly placement: Placement;
  readonly client: Client;
  /** Whether there is an addon for this Node. */
  readonly addon: boolean;
  readonly direct: Target;
  /** Tells the reader what is going on. */
  readonly say: (words: string) => void;
  /** One with the addon where there is one, and one without. */
  startSidecars(): Promise<readonly Sidecar[]>;
  close(): Promise<void>;
}

export async function openStage(options: SshOptions, say: (words: string) => void): Promise<Stage> {
  const placement = placeProcesses();
  const command = [...options.nodeFlags, ...(options.source ? sourceCommand() : builtCommand(say))];
  const addon = hasAddon();
  const server = await startServer(placement.upstream);
  const start = (name: string, words: readonly string[]): Promise<Sidecar> =>
    startSidecar(name, [...words, ...command], placement.proxy, server);
  return {
    ...{ options, placement, addon, say },
    client: { cpus: placement.load, user: server.user },
    direct: directTo(server),
    async startSidecars() {
      const without = await start(WITHOUT_ADDON, ['--no-addons']);
      if (!addon) return [without];
      try {
        return [await start(WITH_ADDON, []), without];
      } catch (error) {
        await without.close();
        throw error;
      }
    },
    close: () => server.close(),
  };
}

function directTo({ ports, keyFile, agentSocket }: Server): Target {
  return {
    name: 'direct',
    port: (cipher) => ports[cipher],
    login: ['-o', 'IdentitiesOnly=yes', '-i', keyFile],
    agentSocket,
    pids: () => [],
    close: async () => undefined,
  };
}
