import type { Load, Migrated } from './cyberark.ts';
import { finding, type Finding } from './finding.ts';
import { Given, readFlags, withoutProgram, type FlagSpec } from './flags.ts';
import { made, unreadFlags } from './made.ts';

const TOOL = 'aws-sigv4-proxy';

/** Flags of aws-sigv4-proxy: its README at 1.11, and the two that its main branch has besides. */
export const SIGV4_PROXY_FLAGS: Readonly<Record<string, FlagSpec>> = {
  verbose: { kind: 'switch', short: 'v' },
  'log-failed-requests': { kind: 'switch' },
  'log-signing-process': { kind: 'switch' },
  'unsigned-payload': { kind: 'switch' },
  port: { kind: 'value' },
  strip: { kind: 'value', short: 's' },
  'strip-header': { kind: 'value' },
  'strip-param': { kind: 'value' },
  'custom-headers': { kind: 'value' },
  'duplicate-headers': { kind: 'value' },
  'role-arn': { kind: 'value' },
  name: { kind: 'value' },
  'sign-host': { kind: 'value' },
  host: { kind: 'value' },
  region: { kind: 'value' },
  'upstream-url-scheme': { kind: 'value' },
  'no-verify-ssl': { kind: 'switch' },
  'transport.idle-conn-timeout': { kind: 'value' },
};

const SERVICE = ['services', 'aws'] as const;

/** Flags of aws-sigv4-proxy as a service of the connector `aws` that signs whatever comes to it. */
export function fromSigv4Proxy(words: readonly string[], load: Load): Migrated {
  const line = readFlags(withoutProgram(words, TOOL), SIGV4_PROXY_FLAGS);
  const given = new Given(line);
  const findings: Finding[] = [finding('note', [], `from the flags of ${TOOL}`), ...unreadFlags(line, TOOL)];
  if (line.positionals.length > 0) findings.push(finding('todo', [], 'words that are no flags are not carried over'));
  const target = targetOf(given, findings);
  const service = {
    connector: 'aws',
    listenOn: listenOnOf(given.value('port') ?? ':8080', findings),
    ...(target === undefined ? {} : { target }),
    credentials: credentialsOf(given, findings),
    config: configOf(given, target, findings),
  };
  noteRest(given, findings);
  const region = given.value('region');
  const assumed = given.value('role-arn') !== undefined && region !== undefined;
  return made(
    {
      version: '2',
      services: { aws: service },
      ...(assumed ? { providers: { role: { type: 'aws-sts', region } } } : {}),
      ...(given.isOn('verbose') ? { telemetry: { log: { level: 'debug' } } } : {}),
    },
    findings,
    load,
  );
}

/** `:8080` is every interface there. */
function listenOnOf(port: string, findings: Finding[]): string {
  const path = [...SERVICE, 'listenOn'];
  const [, host = '', digits] = /^(?:(.*):)?(\d{1,5})$/.exec(port) ?? [];
  if (digits === undefined) {
    findings.push(finding('todo', path, 'the value of `--port` could not be read'));
    return 'tcp://127.0.0.1:8080';
  }
  if (host !== '') return `tcp://${host}:${digits}`;
  const text = `${TOOL} listened on every interface; write tcp://0.0.0.0:${digits} where agents come from other machines`;
  findings.push(finding('warning', path, text));
  return `tcp://127.0.0.1:${digits}`;
}

function targetOf(given: Given, findings: Finding[]): string | undefined {
  const [host, signed] = [given.value('host'), given.value('sign-host')];
  const scheme = given.value('upstream-url-scheme') ?? 'https';
  const path = [...SERVICE, 'target'];
  if (signed !== undefined && signed !== host) {
    const text =
      'requests are signed for the host that they are sent to: `--sign-host` is the target, and what `--host` named ' +
      'must be reached by that name (a line in /etc/hosts, or private DNS)';
    findings.push(finding('todo', path, text));
    return `${scheme}://${signed}`;
  }
  if (host !== undefined) {
    const text = 'the Host of a request is that of this listener or of the target; any other is refused (421)';
    findings.push(finding('warning', path, text));
    return `${scheme}://${host}`;
  }
  const text =
    'no `--host`, so a Host field chose the upstream: here agents use this listener as `http_proxy` and ask for ' +
    'http:// URLs of AWS (they leave as https), or as endpoint, signing as `secretless env aws` sets them up';
  findings.push(finding('warning', [...SERVICE, 'listenOn'], text));
  if (scheme !== 'https') {
    findings.push(
      finding('warning', [...SERVICE], 'hosts of AWS are reached over https, whatever `--upstream-url-scheme` says'),
    );
  }
  return undefined;
}

function credentialsOf(given: Given, findings: Finding[]): object {
  const role = given.value('role-arn');
  const path = [...SERVICE, 'credentials'];
  if (role === undefined) {
    findings.push(finding('note', path, 'what an AWS SDK of the user of the sidecar finds, as before'));
    return { from: 'aws-credentials', get: 'default' };
  }
  findings.push(
    finding('note', path, 'a session for each agent, under the name of the agent instead of that of the host'),
  );
  const region = given.value('region');
  if (region === undefined) {
    findings.push(finding('warning', path, 'the region of STS is that of the variable AWS_REGION: set it'));
  }
  return { from: region === undefined ? 'aws-sts' : 'role', get: role };
}

/** The proxy asked nobody who he is: what comes is signed. */
function configOf(given: Given, target: string | undefined, findings: Finding[]): object {
  const [service, region] = [given.value('name'), given.value('region')];
  const path = [...SERVICE, 'config'];
  const text =
    `as ${TOOL} did: whoever reaches the listener has his requests signed, whatever key he used or none; leave both out ` +
    'once agents sign with the key of `secretless env aws`, which streams bodies and tells agents apart';
  findings.push(finding('warning', path, text));
  const both = service !== undefined && region !== undefined;
  if (service !== undefined && !both) {
    findings.push(finding('warning', path, '`--name` had an effect beside `--region` alone: left out'));
  }
  if (both && target === undefined) {
    const text = 'service and region are those of unsigned requests; what a signed one says of itself comes first';
    findings.push(finding('note', path, text));
  }
  return { ...(both ? { service, region } : {}), unsigned: 'sign', foreign: 'sign' };
}

function noteRest(given: Given, findings: Finding[]): void {
  const say = (weight: Finding['weight'], text: string): void => void findings.push(finding(weight, SERVICE, text));
  const stripped = [...given.all('strip'), ...given.all('strip-header')];
  if (stripped.some((name) => /^authorization$/i.test(name))) {
    say('note', 'an `Authorization` that is a signature is always taken off, so `--strip Authorization` is left out');
  }
  if (stripped.some((name) => !/^authorization$/i.test(name)) || given.value('strip-param') !== undefined) {
    say('warning', 'headers and parameters are not taken out: what `--strip` named goes upstream');
  }
  if (given.value('custom-headers') !== undefined) {
    say('todo', 'headers are not added to requests: agents must send those of `--custom-headers` themselves');
  }
  if (given.value('duplicate-headers') !== undefined) {
    say('todo', 'no `X-Original-` copies are made: agents must send those of `--duplicate-headers` themselves');
  }
  if (given.isOn('no-verify-ssl')) {
    say(
      'todo',
      'certificates are always verified: for a private authority add `tls: { ca: /path }`, or `tls: { servername: … }`',
    );
  }
  if (given.isOn('unsigned-payload')) {
    const text =
      'bodies are unsigned where the agent sends `x-amz-content-sha256: UNSIGNED-PAYLOAD`, and for S3 without the field';
    say('warning', text);
  }
  if (given.isOn('log-failed-requests') || given.isOn('log-signing-process')) {
    say('note', 'bodies and signatures are never logged; the ledger has every use');
  }
  if (given.value('transport.idle-conn-timeout') !== undefined) {
    say(
      'note',
      '`--transport.idle-conn-timeout` is left out: idle connections to the upstream are the sidecar’s own matter',
    );
  }
  say(
    'note',
    'answers that hold credentials (AssumeRole …) are refused, unless a rule with `returnsCredentials: true` allows them',
  );
}
