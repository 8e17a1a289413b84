import type { Load, Migrated } from './cyberark.ts';
import { finding, type Finding } from './finding.ts';
import { Given, readFlags, withoutProgram, type FlagSpec } from './flags.ts';
import { type Instance, readInstance, variableOf } from './instance.ts';
import { made, unreadFlags } from './made.ts';
import { bare } from './tree.ts';

const TOOL = 'cloud-sql-proxy';
const value: FlagSpec = { kind: 'value' };
const on: FlagSpec = { kind: 'switch' };

/** Flags of Cloud SQL Auth Proxy 2.17 (its docs/cmd/cloud-sql-proxy.md). */
export const CLOUD_SQL_PROXY_FLAGS: Readonly<Record<string, FlagSpec>> = {
  address: { kind: 'value', short: 'a' },
  'admin-port': value,
  'auto-iam-authn': { kind: 'switch', short: 'i' },
  'auto-ip': on,
  'config-file': value,
  'credentials-file': { kind: 'value', short: 'c' },
  debug: on,
  'debug-logs': on,
  'disable-metrics': on,
  'disable-traces': on,
  'exit-zero-on-sigterm': on,
  fuse: value,
  'fuse-tmp-dir': value,
  'gcloud-auth': { kind: 'switch', short: 'g' },
  'health-check': on,
  'http-address': value,
  'http-port': value,
  'impersonate-service-account': value,
  'json-credentials': { kind: 'value', short: 'j' },
  'lazy-refresh': on,
  'login-token': value,
  'max-connections': value,
  'max-sigterm-delay': value,
  'min-sigterm-delay': value,
  port: { kind: 'value', short: 'p' },
  'private-ip': on,
  prometheus: on,
  'prometheus-namespace': value,
  psc: on,
  quiet: on,
  quitquitquit: on,
  'quota-project': value,
  'run-connection-test': on,
  'skip-failed-instance-config': on,
  'sqladmin-api-endpoint': value,
  'structured-logs': { kind: 'switch', short: 'l' },
  'telemetry-prefix': value,
  'telemetry-project': value,
  'telemetry-sample-rate': value,
  token: { kind: 'value', short: 't' },
  'universe-domain': value,
  'unix-socket': { kind: 'value', short: 'u' },
  'user-agent': value,
};

/** Told of the Cloud SQL Admin API, which the sidecar does not ask, and of Google's own monitoring. */
const WITHOUT_EFFECT = [
  'admin-port',
  'debug',
  'disable-metrics',
  'disable-traces',
  'exit-zero-on-sigterm',
  'lazy-refresh',
  'prometheus-namespace',
  'quota-project',
  'run-connection-test',
  'skip-failed-instance-config',
  'sqladmin-api-endpoint',
  'telemetry-prefix',
  'telemetry-project',
  'telemetry-sample-rate',
  'universe-domain',
  'user-agent',
] as const;
const FIRST_PORT = 5432;
const OTHER_ENGINES: Readonly<Record<number, string>> = { 3306: 'MySQL', 1433: 'SQL Server' };

/** Flags and instances of Cloud SQL Auth Proxy as services of the connector `postgres`. */
export function fromCloudSqlProxy(words: readonly string[], load: Load): Migrated {
  const line = readFlags(withoutProgram(words, TOOL), CLOUD_SQL_PROXY_FLAGS);
  const given = new Given(line);
  const findings: Finding[] = [
    finding('note', [], 'from the flags of Cloud SQL Auth Proxy'),
    ...unreadFlags(line, TOOL),
  ];
  const instances = line.positionals.flatMap((word) => readInstance(word) ?? []);
  if (instances.length < line.positionals.length || instances.length === 0) {
    findings.push(
      finding(
        'todo',
        [],
        'instances are named project:region:name on the command line: one is missing, or none was read',
      ),
    );
  }
  const services = servicesOf(instances, given, findings);
  noteTop(given, findings);
  return made({ version: '2', services, ...topOf(given) }, findings, load);
}

function servicesOf(instances: readonly Instance[], given: Given, findings: Finding[]): Record<string, object> {
  const services: Record<string, object> = {};
  const first = Number(given.value('port') ?? FIRST_PORT);
  let next = first;
  for (const instance of instances) {
    const name = freeName(instance, services);
    const listenOn = listenOnOf(instance, given, () => next++);
    services[name] = serviceOf(name, listenOn, instance, given, findings);
    noteEngine(name, listenOn, findings);
  }
  return services;
}

/** Instances of two projects may have one name, and an instance may be there twice, at two addresses. */
function freeName({ name, project }: Instance, taken: object): string {
  const others = Array.from(Object.keys(taken), (_, at) => `${name}-${at + 2}`);
  const choices = [name, `${project.replace(':', '-')}-${name}`, ...others];
  return choices.find((choice) => !Object.hasOwn(taken, choice)) ?? name;
}

/** In the order of the tool: a socket of its own, a folder of sockets, a port of its own, the next port. */
function listenOnOf({ project, region, name, settings }: Instance, given: Given, next: () => number): string {
  const path = settings.get('unix-socket-path');
  if (path !== undefined)
    return `unix://${path.endsWith('/.s.PGSQL.5432') ? path : `${path.replace(/\/$/, '')}/.s.PGSQL.5432`}`;
  const folder = settings.get('unix-socket') ?? (settings.has('port') ? undefined : given.value('unix-socket'));
  if (folder !== undefined) return `unix://${folder.replace(/\/$/, '')}/${project}:${region}:${name}/.s.PGSQL.5432`;
  const host = settings.get('address') ?? given.value('address') ?? '127.0.0.1';
  return `tcp://${host.includes(':') ? `[${host}]` : host}:${settings.get('port') ?? next()}`;
}

function serviceOf(name: string, listenOn: string, instance: Instance, given: Given, findings: Finding[]): object {
  const path = ['services', name];
  const variable = variableOf(instance);
  const isIam = given.isOn('auto-iam-authn') || isSet(instance, 'auto-iam-authn');
  const address =
    given.isOn('psc') || isSet(instance, 'psc') ? 'PSC' : privateOf(instance, given) ? 'private' : 'public';
  const found =
    "`gcloud sql instances describe` shows it; authorised networks and firewalls must let the sidecar's machine in";
  const host = `set ${variable}_HOST to the ${address} address of the instance: ${found}`;
  findings.push(finding('warning', [...path, 'credentials', 'host'], host));
  const authority =
    'the authority of the instance: `gcloud sql ssl server-ca-certs list --instance …`; by default its certificate bears ' +
    'no host name, hence verify-ca, and nothing else is signed by that authority; with a shared one write verify-full';
  findings.push(finding('warning', [...path, 'credentials', 'sslrootcert'], authority));
  if (isIam) noteIam(path, findings);
  else {
    const moved = `apps gave user and password themselves; now they give neither: set ${variable}_USER and ${variable}_PASSWORD for the sidecar alone`;
    findings.push(finding('warning', [...path, 'credentials', 'password'], moved));
  }
  const connections = given.value('max-connections');
  return {
    connector: 'postgres',
    listenOn,
    credentials: {
      host: { from: 'env', get: `${variable}_HOST` },
      username: { from: 'env', get: `${variable}_USER` },
      password: isIam
        ? {
            from: 'exec',
            get: `gcloud sql generate-login-token --instance=${instance.name} --project=${instance.project}`,
          }
        : { from: 'env', get: `${variable}_PASSWORD` },
      sslmode: 'verify-ca',
      sslrootcert: { from: 'file', get: `/etc/secretless/${instance.name}-ca.pem` },
    },
    ...(isIam ? { config: { requireAuth: ['password'] }, cache: '5m' } : {}),
    ...(/^[1-9]\d{0,4}$/.test(connections ?? '') ? { limits: { connections: bare(connections!) } } : {}),
  };
}

function isSet({ settings }: Instance, key: string): boolean {
  return /^(1|t|true)$/i.test(settings.get(key) ?? '');
}

function privateOf(instance: Instance, given: Given): boolean {
  return given.isOn('private-ip') || isSet(instance, 'private-ip');
}

function noteIam(path: readonly string[], findings: Finding[]): void {
  const text =
    'automatic IAM login: no provider of this build makes such tokens, so the gcloud command of the user of the sidecar ' +
    'does, for the account that is logged in there; try it before you rely on it';
  findings.push(finding('todo', [...path, 'credentials', 'password'], text));
}

function noteEngine(name: string, listenOn: string, findings: Finding[]): void {
  const port = Number(/:(\d+)$/.exec(listenOn)?.[1]);
  const engine = OTHER_ENGINES[port];
  const path = ['services', name, 'connector'];
  if (engine === undefined) {
    findings.push(finding('note', path, 'nothing says which engine the instance is of: PostgreSQL is assumed'));
  } else {
    findings.push(finding('todo', path, `port ${port} is that of ${engine}, which this build has no connector for`));
  }
}

/** What stands beside the services. */
function topOf(given: Given): object {
  const level = given.isOn('debug-logs') ? 'debug' : given.isOn('quiet') ? 'error' : undefined;
  const isServed = given.isOn('health-check') || given.isOn('prometheus');
  const host = (given.value('http-address') ?? 'localhost').replace(/^localhost$/, '127.0.0.1');
  const drain = drainOf(given.value('max-sigterm-delay'));
  const telemetry = {
    ...(isServed ? { listenOn: `tcp://${host}:${given.value('http-port') ?? '9090'}` } : {}),
    ...(level === undefined ? {} : { log: { level } }),
  };
  return {
    ...(Object.keys(telemetry).length === 0 ? {} : { telemetry }),
    ...(drain === undefined ? {} : { limits: { drain } }),
  };
}

/** A duration of Go's: `10s`, `1m30s`; a plain number of seconds too. */
function drainOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  return /^\d+$/.test(text) ? `${text}s` : text;
}

/** Whose right to connect IAM checked there. */
const ACCOUNTS = [
  'credentials-file',
  'gcloud-auth',
  'impersonate-service-account',
  'json-credentials',
  'login-token',
  'token',
];

function noteTop(given: Given, findings: Finding[]): void {
  const say = (weight: Finding['weight'], text: string): void => void findings.push(finding(weight, [], text));
  const names = given.names();
  const told = WITHOUT_EFFECT.filter((name) => names.has(name)).map((name) => `\`--${name}\``);
  if (told.length > 0) say('note', `left out, as there is nothing that they could tell here: ${told.join(', ')}`);
  const accounted = ACCOUNTS.filter((name) => names.has(name)).map((name) => `\`--${name}\``);
  if (accounted.length > 0) {
    say(
      'warning',
      `the sidecar logs in to no Google account: ${accounted.join(', ')} left out, values and all; IAM no longer decides who may connect`,
    );
  }
  if (names.has('fuse') || names.has('fuse-tmp-dir'))
    say('todo', 'sockets are not made as they are asked for: each instance needs a service, in place of `--fuse`');
  if (names.has('config-file')) say('todo', '`--config-file` is not read: write its settings as flags');
  if (names.has('quitquitquit'))
    say('warning', '`secretless stop` or SIGTERM ends the sidecar, in place of `--quitquitquit`');
  if (names.has('min-sigterm-delay'))
    say(
      'warning',
      '`--min-sigterm-delay` is left out: `secretless start --sidecar plain` keeps accepting after SIGTERM',
    );
  if (given.isOn('health-check'))
    say('warning', 'probes ask /livez and /readyz, in place of /startup, /liveness and /readiness');
  if (names.has('max-connections')) say('note', '`--max-connections` was for the whole; here it is for each service');
}
