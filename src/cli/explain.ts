import { formatListenAddress, type Config } from '../config/config.ts';
import type { RequestHead } from '../connector/head.ts';
import { formatOrigin } from '../connector/origin.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import { accessRequest } from '../http/admit.ts';
import type { HttpRoutes } from '../http/binding.ts';
import { place } from '../http/place.ts';
import { connectors, loadOrRefuse, storesOf } from '../main.ts';
import { Policy } from '../policy/policy.ts';
import { Generation } from '../sidecar/generation.ts';
import { Recollections } from '../stream/recollections.ts';
import { Tally } from '../upstream/tally.ts';
import { openLog } from '../telemetry/log.ts';
import { openMetrics } from '../telemetry/metrics.ts';
import { defineCommand, JSON_OPTION, UsageError } from './command.ts';
import { configFile, FILE_OPTION } from './config-file.ts';
import { EXIT } from './exit.ts';
import { AWS_OPTIONS, awsQuestionOf, awsText, explainAws, type AwsQuestion, type AwsValues } from './explain-aws.ts';
import { askerOf, explainEgress } from './explain-egress.ts';
import { explainLogin, loginText, type Login } from './explain-login.ts';
import { explainSsh, SSH_OPTIONS, sshQuestionOf, sshText, type SshQuestion, type SshValues } from './explain-ssh.ts';
import { answerOf, explainedText, refusedAs, type Explained } from './explained.ts';

export const command = defineCommand({
  name: 'explain',
  summary: 'show which service and rule a request or a login would hit, and why; nothing is sent, fetched or counted',
  usage:
    '[-f file] [--listener address] [--json] [METHOD] <url or path> | --service name [options of the login, of --aws or of --ssh]',
  positionals: 2,
  options: {
    file: FILE_OPTION,
    listener: { type: 'string', value: 'address', meaning: 'only this listener, as written in the file' },
    service: { type: 'string', value: 'name', meaning: 'a login to this service, instead of a request' },
    database: { type: 'string', value: 'name', meaning: 'database that the login gets' },
    application: { type: 'string', value: 'name', meaning: 'what the program that logs in calls itself' },
    replication: { type: 'boolean', meaning: 'the login asks for a replication stream' },
    aws: {
      type: 'string',
      value: 'service:Operation',
      meaning: 'a request to AWS; METHOD and URL are for rules on them',
    },
    agent: { type: 'string', value: 'name', meaning: 'who asks, through `egress`, of AWS or over SSH' },
    region: { type: 'string', value: 'name', meaning: 'region of the request to AWS' },
    object: { type: 'string', value: 'bucket/key', meaning: 'object that it is for, or a bucket' },
    'copied-from': { type: 'string', value: 'bucket/key', meaning: 'object that it copies' },
    ssh: {
      type: 'string',
      value: 'request',
      meaning: 'what is asked for over SSH: exec, shell, forward, sign-login …',
    },
    user: { type: 'string', value: 'name', meaning: 'who it is upstream' },
    command: { type: 'string', value: 'text', meaning: 'of exec: the command' },
    'git-repo': { type: 'string', value: 'path', meaning: 'of exec: a fetch from this repository' },
    push: { type: 'boolean', meaning: 'a push to it' },
    subsystem: { type: 'string', value: 'name', meaning: 'of subsystem: which' },
    destination: {
      type: 'string',
      value: 'host:port',
      meaning: 'of forward, listen and jump, or the path of a socket',
    },
    'host-key': { type: 'string', value: 'fingerprint', meaning: 'of sign-login: host that is logged in to' },
    namespace: { type: 'string', value: 'name', meaning: 'of sign-document: what the signature is good for' },
    forwarded: { type: 'boolean', meaning: 'of signatures: a host on the way asks for it' },
    json: JSON_OPTION,
  },
  async run({ values, positionals }, io) {
    const question = questionOf(values, positionals);
    const config = loadOrRefuse(configFile(values.file, io.env), io.env, () => undefined);
    const { listener } = values;
    const { asked, explained } = await answered(config, question, listener);
    const wanted = explained.filter((one) => listener === undefined || one.listener === listener);
    if (wanted.length === 0) throw new UsageError(nobodyListens(config, listener));
    if (values.json === true) io.stdout.write(`${JSON.stringify(wanted)}\n`);
    else for (const one of wanted) io.stdout.write(explainedText(asked, one));
    return EXIT.ok;
  },
});

interface QuestionValues extends AwsValues, SshValues {
  readonly service?: string;
  readonly database?: string;
  readonly application?: string;
  readonly replication?: boolean;
}

type Question =
  | { readonly about: 'request'; readonly head: RequestHead; readonly agent: string | undefined }
  | { readonly about: 'login'; readonly login: Login }
  | { readonly about: 'aws'; readonly aws: AwsQuestion }
  | { readonly about: 'ssh'; readonly ssh: SshQuestion };

const LOGIN_OPTIONS = ['database', 'application', 'replication'] as const;

/** Errors: `UsageError`. */
function questionOf(values: QuestionValues, [first, second]: readonly string[]): Question {
  const { service } = values;
  const method = second === undefined ? 'GET' : first!.toUpperCase();
  const target = second ?? first;
  const ofLogin = LOGIN_OPTIONS.find((name) => values[name] !== undefined);
  const ofSsh = SSH_OPTIONS.find((name) => values[name] !== undefined);
  if (ofSsh !== undefined) return { about: 'ssh', ssh: sshQuestionOver(ofSsh, values, ofLogin ?? target) };
  const ofAws = AWS_OPTIONS.find((name) => values[name] !== undefined && (name !== 'agent' || target === undefined));
  if (ofAws !== undefined || values.aws !== undefined) {
    if (ofLogin !== undefined) throw new UsageError(`--${ofLogin} is of a login, and --${ofAws} of a request to AWS`);
    if (values.aws === undefined)
      throw new UsageError(`--${ofAws} is of a request to AWS: add --aws service:Operation`);
    if (service === undefined) throw new UsageError('--aws needs the name of its service: add --service');
    return { about: 'aws', aws: awsQuestionOf(service, values, method, target) };
  }
  if (service !== undefined) {
    if (target !== undefined) throw new UsageError(`explain takes a request or --service, "${first}" is too many`);
    const { database, application, replication } = values;
    return { about: 'login', login: { service, database, application, replication: replication === true } };
  }
  if (ofLogin !== undefined) throw new UsageError(`--${ofLogin} is of a login: name its service with --service`);
  if (target === undefined)
    throw new UsageError('explain needs a URL, a path and --listener, or --service for a login');
  return { about: 'request', head: { method, target, headers: [] }, agent: values.agent };
}

function sshQuestionOver(option: string, values: QuestionValues, other: string | undefined): SshQuestion {
  const { service, ssh } = values;
  if (ssh === undefined) throw new UsageError(`--${option} is of what is asked for over SSH: add --ssh request`);
  const tooMany = other ?? AWS_OPTIONS.find((name) => name !== 'agent' && values[name] !== undefined);
  if (tooMany !== undefined) throw new UsageError(`--ssh is a question of its own, "${tooMany}" is too many`);
  if (service === undefined) throw new UsageError('--ssh needs the name of its service: add --service');
  return sshQuestionOf(service, values);
}

async function answered(
  config: Config,
  question: Question,
  listener: string | undefined,
): Promise<{ asked: string; explained: Explained[] }> {
  switch (question.about) {
    case 'login':
      return { asked: loginText(question.login), explained: explainLogin(config, question.login) };
    case 'aws':
      return { asked: awsText(question.aws), explained: explainAws(config, question.aws) };
    case 'ssh':
      return { asked: sshText(question.ssh), explained: explainSsh(config, question.ssh) };
    case 'request': {
      const { head } = question;
      return { asked: `${head.method} ${head.target}`, explained: await explainRequest(config, question, listener) };
    }
    default:
      return question satisfies never;
  }
}

function nobodyListens({ services, egress }: Config, listener: string | undefined): string {
  const known = [...services, ...(egress === undefined ? [] : [egress])].flatMap(({ listenOn }) =>
    listenOn.map(formatListenAddress),
  );
  if (listener === undefined && egress !== undefined) return 'what goes through `egress` is told by its whole URL';
  if (listener === undefined) return 'no service of the file takes HTTP requests: explain a login with --service';
  return `no listener of that address${known.includes(listener) ? ' takes this' : ' in the file'}`;
}

async function explainRequest(
  config: Config,
  { head, agent }: Extract<Question, { about: 'request' }>,
  listener: string | undefined,
): Promise<Explained[]> {
  const { egress } = config;
  const asker = egress === undefined ? undefined : askerOf(config, egress, agent);
  if (agent !== undefined && egress === undefined) {
    throw new UsageError('--agent is of those who ask through `egress`: a listener belongs to one agent');
  }
  const policy = new Policy(config.rules);
  const log = openLog({ level: 'error' });
  const refused = () => Promise.reject(new SidecarError('internal'));
  const context = {
    policy,
    ledger: { record: refused, note: () => undefined },
    log,
    now: () => new Date(),
    recollections: new Recollections(),
    upstreams: new Tally(),
    confirmations: new Tally(),
    localIdentity: refused,
    hostKey: refused,
  };
  const stores = storesOf(config.providers);
  const parts = {
    connectors,
    context,
    metrics: openMetrics({ version: '' }),
    store: stores.of,
    fetchKeys: false,
    interception: refused,
  };
  const generation = await Generation.open(config, parts, stores.close);
  try {
    const endpoints = [...generation.endpoints].filter(([address]) => listener === undefined || address === listener);
    const all = endpoints.flatMap(([address, endpoint]): Explained[] => {
      switch (endpoint.kind) {
        case 'http':
        case 'tunnel':
          // Such a listener belongs to one agent.
          return agent === undefined ? [explainAt(address, endpoint.handler.routes, head, policy)] : [];
        case 'egress':
          if (!isWhole(head.target)) return [];
          return [{ listener: address, ...explainEgress(endpoint.handler.routes, head, asker, policy) }];
        case 'stream':
        case 'relay':
          return [];
        default:
          return endpoint satisfies never;
      }
    });
    // Asked about a URL, the listeners that have nothing to do with it only distract.
    const concerned = all.filter(({ service, allowed }) => service !== undefined || allowed);
    return concerned.length > 0 ? concerned : all;
  } finally {
    await generation.retire();
  }
}

/** Requests that ask a proxy name all of the URL. */
function isWhole(target: string): boolean {
  return /^https?:\/\//i.test(target);
}

function explainAt(listener: string, routes: HttpRoutes, head: RequestHead, policy: Policy): Explained {
  try {
    const placement = place(routes, head);
    const { binding, origin, principal } = placement;
    const request = accessRequest(placement);
    return {
      listener,
      service: binding.service,
      connector: binding.connector,
      agent: principal.agent,
      upstream: formatOrigin(origin),
      ...(request.facts.path === undefined ? {} : { path: request.facts.path }),
      ...answerOf(policy.explain(request), placement.credentialed),
    };
  } catch (thrown) {
    const error = asSidecarError(thrown);
    // The command line has no signature to show: what such a request asks for is another question.
    const hint = error.code === 'caller-unproven' ? '; for a request to AWS ask with --service and --aws' : '';
    return { listener, ...refusedAs(error, hint) };
  }
}
