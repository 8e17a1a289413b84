import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { event, uploadHttp2, type AgentOptions, type EventUpload } from './aws-event-agent.ts';
import { startEventServer, type EventServer, type EventServerOptions, type Upload } from './aws-event-server.ts';
import { canary } from './canary.ts';
import { testAuthority } from './egress-core-kit.ts';
import { openSession } from './http2-kit.ts';
import { eventually, startRig, temporaryFolder, type Rig } from './rig.ts';

export interface Stage {
  readonly server: EventServer;
  readonly rig: Rig;
  readonly port: number;
  readonly host: string;
  readonly real: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export interface StageOptions extends Partial<EventServerOptions> {
  /** More top-level lines of the configuration, and more of the service. */
  readonly top?: string;
  readonly more?: string;
}

export async function setStage({ top = '', more = '', ...server }: StageOptions = {}): Promise<Stage> {
  const real = { accessKeyId: 'AKIAREALONE', secretAccessKey: canary('/+=') };
  const issuer = await testAuthority();
  const ca = join(temporaryFolder(), 'ca.pem');
  writeFileSync(ca, issuer.certificate);
  const running = await startEventServer({ account: real, tls: { issuer, names: ['localhost'] }, ...server });
  const rig = await startRig(
    `services:
  speech:
    connector: aws
    listenOn: tcp://127.0.0.1:0
    target: https://localhost:${running.port}
    credentials: { accessKeyId: { from: env, get: REAL_ID }, secretAccessKey: { from: env, get: REAL_KEY } }
    config: { service: transcribe, region: eu-central-1 }
    tls: { ca: "${ca}" }
${more}${top}`,
    { REAL_ID: real.accessKeyId, REAL_KEY: real.secretAccessKey },
  );
  const port = rig.port('speech');
  return { server: running, rig, port, host: `localhost:${port}`, real };
}

export function upload({ port, host }: Stage, more: Partial<AgentOptions> = {}): Promise<EventUpload> {
  return uploadHttp2(openSession(port), { host, ...more });
}

export async function over({ server }: Pick<Stage, 'server'>): Promise<Upload> {
  const [first] = server.uploads;
  await eventually(() => first!.end !== 'running');
  return first!;
}

/** One event there and back, then the next. */
export async function pingPong(agent: EventUpload, events: readonly Buffer[]): Promise<void> {
  for (const one of events) {
    await agent.send(one);
    expect((await agent.next())?.equals(one)).toBe(true);
  }
}

export async function rest(agent: EventUpload): Promise<Buffer[]> {
  const frames: Buffer[] = [];
  for (let frame = await agent.next(); frame !== undefined; frame = await agent.next()) frames.push(frame);
  return frames;
}

export const WORDS = ['eins', 'zwei', 'drei'].map(event);
