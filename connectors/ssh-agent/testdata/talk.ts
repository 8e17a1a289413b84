import { randomBytes } from 'node:crypto';
import { type PrivateKey, readPrivateKey, WireReader } from 'secretless-sidecar/connector/ssh';
import { expect, onTestFinished } from 'vitest';
import type { SshAgentConfig } from '../config.ts';
import { bindRequest, loginBytes, signRequest, sshsigBytes } from './agent-kit.ts';
import { type AgentClient, pemOf, secretOf, ServedAgent } from './served-agent.ts';

export const LIST = Buffer.of(11);
export const [FAILURE, SUCCESS, IDENTITIES, SIGNATURE] = [5, 6, 12, 14];

export async function serve(config: SshAgentConfig = {}, credentials?: Readonly<Record<string, string>>) {
  const pem = pemOf();
  const agent = await ServedAgent.start(credentials ?? { deploy: pem }, config);
  onTestFinished(() => agent.close());
  const key = await readPrivateKey(secretOf(pem));
  return { agent, key, client: await agent.client() };
}

export function listed(answer: Buffer | undefined): { readonly blob: Buffer; readonly comment: string }[] {
  const reader = new WireReader(answer!);
  expect(reader.byte()).toBe(IDENTITIES);
  return Array.from({ length: reader.uint32() }, () => ({ blob: reader.string(), comment: reader.text(256) }));
}

export function commit(key: PrivateKey, namespace = 'git'): Buffer {
  return signRequest(key.publicBlob, sshsigBytes(namespace, randomBytes(64)));
}

/** A login, bound to a host where one is given, and naming it unless `isNamed` is false. */
export async function login(
  client: AgentClient,
  key: PrivateKey,
  { user = 'git', host = undefined as PrivateKey | undefined, isNamed = true } = {},
) {
  const sessionId = randomBytes(32);
  if (host !== undefined) expect(await client.ask(await bindRequest(host, sessionId))).toBe(SUCCESS);
  const named = host === undefined || !isNamed ? {} : { hostKey: host.publicBlob };
  return client.ask(signRequest(key.publicBlob, loginBytes({ sessionId, blob: key.publicBlob, user, ...named })));
}

