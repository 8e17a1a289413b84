import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostKeyOf } from '../../connectors/ssh/transport/index.ts';
import type { CpuSet } from '../harness/cpu.ts';
import { freePorts } from '../harness/ports.ts';
import { startSidecarProcess } from '../harness/sidecar.ts';
import { CIPHER_NAMES, CIPHERS, type Cipher } from './options.ts';
import type { Server } from './server.ts';
import type { Sidecar, Target } from './target.ts';

interface Places {
  readonly ports: readonly [gcm: number, chacha: number];
  readonly keyed: Sidecar['keyed'];
  readonly agentSocket: string;
  readonly telemetryPort: number;
}

/** Starts a sidecar with rules, ledger and telemetry on, as a user would; it reads the key from its file. */
export async function startSidecar(
  name: string,
  command: readonly string[],
  cpus: CpuSet,
  server: Server,
): Promise<Sidecar> {
  const folder = await mkdtemp(join(tmpdir(), 'ssh-bench-agent-'));
  const [gcm, chacha, port, telemetryPort] = (await freePorts(4)) as [number, number, number, number];
  const keyed = { port, key: generateKeyPairSync('ed25519').privateKey };
  const places: Places = { ports: [gcm, chacha], keyed, agentSocket: join(folder, 'agent.sock'), telemetryPort };
  const clean = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const started = await startSidecarProcess({
      command,
      cpus,
      env: {},
      configuration: configuration(places, server),
      telemetryPort,
    });
    const close = async (): Promise<void> => {
      await started.close();
      await clean();
    };
    const portOf: Target['port'] = (cipher) => (cipher === 'gcm' ? gcm : chacha);
    const login = ['-o', 'PreferredAuthentications=none', '-o', 'IdentityFile=none'];
    const { agentSocket } = places;
    return { name, port: portOf, login, keyed, agentSocket, pids: () => [started.pid], close };
  } catch (error) {
    await clean();
    throw error;
  }
}

function publicLine(key: KeyObject): string {
  return `ssh-ed25519 ${hostKeyOf(key).getPublicSSH().toString('base64')}`;
}

function configuration({ ports, keyed, agentSocket, telemetryPort }: Places, server: Server): string {
  const service = (name: string, port: number, cipher: Cipher, config: string): string => `  ${name}:
    connector: ssh
    listenOn: tcp://127.0.0.1:${port}
    agent: bench
    cache: 1h
    credentials:
      host: 127.0.0.1
      port: "${server.ports[cipher]}"
      user: ${server.user}
      privateKey: { from: file, get: ${server.keyFile} }
      hostKey: ${server.hostKey}
    config: ${config}
`;
  const services = CIPHER_NAMES.map((name, at) => service(name, ports[at]!, name, `{ ciphers: ["${CIPHERS[name]}"] }`));
  const agents = `{ agents: { bench: { publicKey: "${publicLine(keyed.key)}" } } }`;
  return `version: "2"
services:
${services.join('')}${service('keyed', keyed.port, 'gcm', agents)}  signer:
    connector: ssh-agent
    listenOn: unix://${agentSocket}
    agent: bench
    cache: 1h
    credentials:
      privateKey: { from: file, get: ${server.keyFile} }
rules:
  - { id: no-reboots, effect: deny, ssh: { commands: ["reboot *"] } }
  - { id: bench, effect: allow, agents: [bench] }
telemetry: { listenOn: "tcp://127.0.0.1:${telemetryPort}", log: { level: info } }
`;
}
