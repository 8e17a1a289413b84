import type { RequestHead } from '../connector/head.ts';
import { formatOrigin } from '../connector/origin.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import { accessRequest } from '../http/admit.ts';
import type { HttpRoutes } from '../http/binding.ts';
import { place } from '../http/place.ts';
import { connectors, loadOrRefuse, storesOf } from '../main.ts';
import type { Finding } from '../policy/decide.ts';
import { Policy } from '../policy/policy.ts';
import { Generation } from '../sidecar/generation.ts';
import { openLog } from '../telemetry/log.ts';
import { openMetrics } from '../telemetry/metrics.ts';
import { defineCommand, JSON_OPTION, UsageError } from './command.ts';
import { configFile, FILE_OPTION } from './config-file.ts';
import { EXIT } from './exit.ts';
import { table } from './table.ts';

interface Explained {
  readonly listener: string;
  readonly service?: string;
  readonly connector?: string;
  readonly agent?: string;
  readonly upstream?: string;
  readonly path?: string;
  readonly credential: boolean;
  readonly allowed: boolean;
  /** Code of the refusal. */
  readonly code?: string;
  readonly rule?: string;
  readonly reason: string;
  readonly rules: readonly Finding[];
}

export const command = defineCommand({
  name: 'explain',
  summary: 'show which service and rule a request would hit, and why; nothing is sent, fetched or counted',
  usage: '[-f file] [--listener address] [--json] [METHOD] <url or path>',
  positionals: 2,
  options: {
    file: FILE_OPTION,
    listener: { type: 'string', value: 'address', meaning: 'only this listener, as written in the file' },
    json: JSON_OPTION,
  },
  async run(args, io) {
    const [first, second] = args.positionals;
    if (first === undefined) throw new UsageError('explain needs a URL, or a path and --listener');
    const head = { method: second === undefined ? 'GET' : first.toUpperCase(), target: second ?? first, headers: [] };
    const explained = await explain(configFile(args.values.file, io.env), args.values.listener, head, io.env);
    if (explained.length === 0) throw new UsageError('no listener of that address in the file');
    if (args.values.json === true) io.stdout.write(`${JSON.stringify(explained)}\n`);
    else for (const one of explained) io.stdout.write(explainText(head, one));
    return EXIT.ok;
  },
});

async function explain(
  file: string,
  listener: string | undefined,
  head: RequestHead,
  env: NodeJS.ProcessEnv,
): Promise<Explained[]> {
  const config = loadOrRefuse(file, env, () => undefined);
  const policy = new Policy(config.rules);
  const log = openLog({ level: 'error' });
  const nowhere = { record: () => Promise.reject(new SidecarError('internal')), note: () => undefined };
  const context = { policy, ledger: nowhere, log, now: () => new Date() };
  const stores = storesOf(config.providers);
  const parts = { connectors, context, metrics: openMetrics({ version: '' }), store: stores.of, fetchKeys: false };
  const generation = await Generation.open(config, parts, stores.close);
  try {
    const endpoints = [...generation.endpoints].filter(([address]) => listener === undefined || address === listener);
    const all = endpoints.map(([address, { handler }]) => explainAt(address, handler.routes, head, policy));
    // Asked about a URL, the listeners that have nothing to do with it only distract.
    const concerned = all.filter(({ service }) => service !== undefined);
    return concerned.length > 0 ? concerned : all;
  } finally {
    await generation.retire();
  }
}

function explainAt(listener: string, routes: HttpRoutes, head: RequestHead, policy: Policy): Explained {
  const nobody = { listener, credential: false, allowed: false, rules: [] };
  try {
    const placement = place(routes, head);
    const { binding, origin } = placement;
    const request = accessRequest(placement);
    const { verdict, findings } = policy.explain(request);
    return {
      listener,
      service: binding.service,
      connector: binding.connector,
      agent: binding.principal.agent,
      upstream: formatOrigin(origin),
      ...(request.facts.path === undefined ? {} : { path: request.facts.path }),
      credential: placement.credentialed && verdict.allow,
      allowed: verdict.allow,
      ...(verdict.allow ? {} : { code: verdict.code }),
      ...(verdict.rule === undefined ? {} : { rule: verdict.rule }),
      reason: verdict.allow
        ? verdict.rule === undefined
          ? 'there are no rules: a listener may use its own services'
          : 'the first allow rule that matches'
        : verdict.reason,
      rules: findings,
    };
  } catch (thrown) {
    const error = asSidecarError(thrown);
    return { ...nobody, code: error.code, reason: error.message };
  }
}

function explainText(head: RequestHead, one: Explained): string {
  const lines = [`${head.method} ${head.target} on ${one.listener}`];
  if (one.service !== undefined) {
    lines.push(
      `  service ${one.service} (${one.connector}), agent ${one.agent}, goes to ${one.upstream}${one.path ?? ''}`,
    );
  }
  const verdict = one.allowed ? (one.credential ? 'allowed' : 'passes without a credential') : `refused (${one.code})`;
  lines.push(`  ${verdict}${one.rule === undefined ? '' : ` by rule ${one.rule}`}: ${one.reason}`);
  const rows = one.rules.map(({ rule, effect, decides, because }) => [
    `  ${rule}`,
    effect,
    decides ? 'decides' : 'passed over',
    because,
  ]);
  return `${lines.join('\n')}\n${rows.length === 0 ? '' : table(['  rule', 'effect', 'outcome', 'why'], rows)}`;
}
