import type { SidecarError } from '../error.ts';
import type { Explanation, Finding } from '../policy/decide.ts';
import type { AwsFacts, SshFacts } from '../policy/request.ts';
import { table } from './table.ts';

/** One answer of `secretless explain`, as `--json` prints it. */
export interface Explained {
  readonly listener: string;
  readonly service?: string;
  readonly connector?: string;
  readonly agent?: string;
  /** Of a request: origin that it goes to. */
  readonly upstream?: string;
  readonly path?: string;
  /** Of a login, as asked about. */
  readonly database?: string;
  readonly application?: string;
  readonly replication?: boolean;
  /** Of a request to Amazon Web Services, as asked about. */
  readonly aws?: AwsFacts;
  /** The other answer where what the upstream answers holds a credential. */
  readonly returningCredentials?: Answer;
  /** Of what is asked for over SSH, as asked about. */
  readonly ssh?: SshFacts;
  /** The answer to the login before it, or to the listing of keys, where it is another. */
  readonly opening?: Answer & Pick<SshFacts, 'request'>;
  readonly credential: boolean;
  readonly allowed: boolean;
  /** Code of the refusal. */
  readonly code?: string;
  readonly rule?: string;
  readonly reason: string;
  readonly rules: readonly Finding[];
}

export type Answer = Pick<Explained, 'credential' | 'allowed' | 'code' | 'rule' | 'reason' | 'rules'>;

/** What policy says. `credentialed`: a credential travels where it says yes. */
export function answerOf({ verdict, findings }: Explanation, credentialed: boolean): Answer {
  return {
    credential: credentialed && verdict.allow,
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
}

/** A refusal that no rule has to do with. */
export function refusedAs({ code, message }: SidecarError, hint = ''): Answer {
  return { credential: false, allowed: false, code, reason: `${message}${hint}`, rules: [] };
}

/** `question` is what was asked, in a few words. */
export function explainedText(question: string, one: Explained): string {
  const lines = [`${question} on ${one.listener}`];
  if (one.service !== undefined) {
    const goes = one.upstream === undefined ? '' : `, goes to ${one.upstream}${one.path ?? ''}`;
    lines.push(`  service ${one.service} (${one.connector}), agent ${one.agent}${goes}`);
  } else if (one.upstream !== undefined) {
    lines.push(`  no service, agent ${one.agent}, goes to ${one.upstream}`);
  }
  lines.push(`  ${answerText(one)}`);
  if (one.returningCredentials !== undefined) {
    lines.push(`  if the answer holds a credential: ${answerText(one.returningCredentials)}`);
  }
  if (one.opening !== undefined) {
    lines.push(`  ${one.opening.request === 'keys' ? 'keys are listed' : 'login'} before: ${answerText(one.opening)}`);
  }
  const rows = one.rules.map(({ rule, effect, decides, because }) => [
    `  ${rule}`,
    effect,
    decides ? 'decides' : 'passed over',
    because,
  ]);
  return `${lines.join('\n')}\n${rows.length === 0 ? '' : table(['  rule', 'effect', 'outcome', 'why'], rows)}`;
}

function answerText({ allowed, credential, code, rule, reason }: Answer): string {
  const verdict = allowed ? (credential ? 'allowed' : 'passes without a credential') : `refused (${code})`;
  return `${verdict}${rule === undefined ? '' : ` by rule ${rule}`}: ${reason}`;
}
