import type { AgentConfig, CredentialReference } from './config.ts';
import type { Context } from './context.ts';
import { buildCredential } from './credentials.ts';
import type { Path } from './node.ts';
import { MASK } from './print.ts';
import { quote } from './problem.ts';
import type { Document } from './schema.ts';
import type { Loose } from './validate.ts';

/** What stands before the colon of `Proxy-Authorization: Basic`, and in the URL of a proxy as it is. */
const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

const TOKEN_BYTES_MIN = 16;

/** Checks who may be asking, and how each proves it. */
export function buildAgents(
  written: Loose<Document['agents']> | undefined,
  context: Context,
): Record<string, AgentConfig> {
  const { report } = context;
  const agents: Record<string, AgentConfig> = {};
  const holders = new Map<string, string>();
  for (const [name, agent] of Object.entries(written ?? {})) {
    const path = ['agents', name];
    if (!NAME.test(name)) {
      const message = 'the name of an agent that has a token is made of letters, digits, dots, dashes and underscores';
      report.error(path, message, { on: 'key' });
    }
    const token = buildCredential('token', agent?.token, [...path, 'token'], context);
    if (token === undefined) continue;
    checkToken(token, name, [...path, 'token'], holders, context);
    agents[name] = { token };
  }
  return agents;
}

/** A token that two agents have proves neither. */
function checkToken(
  { from, get, field }: CredentialReference,
  name: string,
  path: Path,
  holders: Map<string, string>,
  { report, providers }: Context,
): void {
  const isLiteral = (providers.get(from) ?? { type: from }).type === 'literal';
  // The print of a file shows every literal alike.
  if (isLiteral && get === MASK) return;
  if (isLiteral && Buffer.byteLength(get) < TOKEN_BYTES_MIN) {
    const message = `a token has at least ${TOKEN_BYTES_MIN} bytes, so that it cannot be guessed`;
    report.error(path, `${message}: take one from \`openssl rand -hex 16\``);
  }
  const key = JSON.stringify([isLiteral ? 'literal' : from, get, field]);
  const holder = holders.get(key);
  if (holder !== undefined) report.error(path, `agent ${quote(holder)} has the same token: each needs its own`);
  else holders.set(key, name);
}
