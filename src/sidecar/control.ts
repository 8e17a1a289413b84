import { closeServer, createLocalServer, jsonAnswer, listenOn } from '../telemetry/local-server.ts';
import type { Log } from '../telemetry/log.ts';
import { prepareSocketPath, sharedFolderReason } from './socket-path.ts';
import type { SidecarStatus } from './state.ts';

export interface ControlHandlers {
  readonly status: () => SidecarStatus | Promise<SidecarStatus>;
  /** Begins to drain; called after the answer is out. */
  readonly stop: () => void | Promise<void>;
  /** Rejects where the new configuration was refused and the old one runs on. */
  readonly reload: () => void | Promise<void>;
}

export interface ControlOptions {
  /** Path of the Unix socket. */
  readonly path: string;
  readonly handlers: ControlHandlers;
  readonly log: Log;
}

export interface Control {
  readonly path: string;
  /** Stops answering and removes the socket. */
  close(): Promise<void>;
}

/**
 * The control socket: HTTP/1.1 over a Unix socket of mode 0600, so that only its owner can ask. `GET /v1/status`,
 * `POST /v1/stop` (202, then drains) and `POST /v1/reload` (200, or the problem). That the socket answers is the proof
 * that a sidecar runs: there is no pid file. Errors: `address-unavailable`, also where another sidecar runs already.
 */
export async function openControl({ path, handlers, log }: ControlOptions): Promise<Control> {
  const server = createLocalServer({
    routes: {
      '/v1/status': { GET: async () => jsonAnswer(200, await handlers.status()) },
      '/v1/stop': { POST: () => jsonAnswer(202, { stopping: true }, () => void stop(handlers, log)) },
      '/v1/reload': {
        POST: async () => {
          await handlers.reload();
          return jsonAnswer(200, { reloaded: true });
        },
      },
    },
    hostAllowed: (host) => host === 'localhost',
    log,
  });
  await prepareSocketPath(path);
  // Not refused: a shared volume of a pod looks like this, and what others could do there is to answer in our place.
  const shared = await sharedFolderReason(path);
  if (shared !== undefined) log.warn({ path, reason: shared }, 'the control socket could be replaced');
  await listenOn(server, { kind: 'unix', path });
  return { path, close: () => closeServer(server) };
}

async function stop(handlers: ControlHandlers, log: Log): Promise<void> {
  try {
    await handlers.stop();
  } catch (error) {
    log.error({ error }, 'stop failed');
  }
}
