import { afterAll, beforeAll } from 'vitest';
import type { Doors } from './compare.ts';
import type { Door } from './place.ts';
import { startSidecar, type Configuration, type Service, type Sidecar } from './sidecar.ts';
import { startSshd, type Sshd, type SshdOptions } from './sshd.ts';

export interface World {
  readonly sshd: () => Sshd;
  readonly sidecar: () => Sidecar;
  /** Direct, and through a service, by default `host`. */
  readonly doors: (service?: string) => Doors;
}

export interface WorldOptions extends SshdOptions {
  /** Default: one service `host` for the server, and no rules. */
  readonly configuration?: (sshd: Sshd) => Configuration;
}

/** What is known of a server. */
type Server = Pick<Sshd, 'port' | 'user' | 'key' | 'hostKey' | 'folder'>;

/** The service that leads to a server. */
export function serviceFor({ port, user, key, hostKey }: Server, more: Partial<Service> = {}): Service {
  const { credentials, ...rest } = more;
  const own = { address: `127.0.0.1:${port}`, user, privateKey: key.openssh, hostKey: hostKey.line };
  return { credentials: { ...own, ...credentials }, ...rest };
}

/** A client that holds the key of a server. */
export function directDoor({ port, user, key, hostKey, folder }: Server): Door {
  // The key exchange that OpenSSH likes best costs more than most flows here.
  const lines = ['KexAlgorithms curve25519-sha256'];
  return { port, user, hostKey: hostKey.line, key: key.openssh, remote: folder, lines };
}

/** A client that holds nothing. */
export function sidecarDoor(sidecar: Sidecar, remote: string, service = 'host'): Door {
  return { port: sidecar.port(service), user: 'nobody', hostKey: sidecar.hostKey, remote };
}

/** A server, and a sidecar in front of it, for all tests of a `describe`. */
export function useWorld({ configuration, ...options }: WorldOptions = {}): World {
  let sshd: Sshd | undefined;
  let sidecar: Sidecar | undefined;
  beforeAll(async () => {
    sshd = await startSshd(options);
    const one = (server: Sshd): Configuration => ({ services: { host: serviceFor(server) } });
    sidecar = await startSidecar((configuration ?? one)(sshd));
  });
  afterAll(async () => {
    await sidecar?.remove();
    await sshd?.stop();
  });
  return {
    sshd: () => sshd!,
    sidecar: () => sidecar!,
    doors: (service) => ({ direct: directDoor(sshd!), sidecar: sidecarDoor(sidecar!, sshd!.folder, service) }),
  };
}
