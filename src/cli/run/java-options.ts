import type { ProxyDoor } from './proxy-variables.ts';
import type { TrustPaths } from './trust-variables.ts';

/**
 * What every JVM of the child is started with, after what is there already (JAVA_TOOL_OPTIONS, "Java Virtual Machine
 * Tool Interface"). A token is not in it: each JVM prints these words on standard error, and none would use it.
 */
export function javaToolOptions(
  present: string | undefined,
  door: ProxyDoor | undefined,
  trust: TrustPaths | undefined,
): string {
  const options = [
    ...(trust === undefined ? [] : trustOptions(trust)),
    ...(door === undefined ? [] : proxyOptions(door)),
  ];
  const before = present === undefined || present.trim() === '' ? [] : [present.trim()];
  return [...before, ...options.map((option) => word(option))].join(' ');
}

function trustOptions({ trustStore, trustStorePassword }: TrustPaths): string[] {
  return [
    `-Djavax.net.ssl.trustStore=${trustStore}`,
    '-Djavax.net.ssl.trustStoreType=PKCS12',
    `-Djavax.net.ssl.trustStorePassword=${trustStorePassword}`,
  ];
}

function proxyOptions({ host, port, login, direct }: ProxyDoor): string[] {
  const schemes = ['http', 'https'].flatMap((scheme) => [
    `-D${scheme}.proxyHost=${host}`,
    `-D${scheme}.proxyPort=${port}`,
  ]);
  // Entries with a port are no words of Java's list; without this line it would leave out all of 127.0.0.0/8.
  const hosts = direct.flatMap((each) => (/^[^:]+$/.test(each) ? each : each === '::1' ? '[::1]' : []));
  return [
    ...schemes,
    `-Dhttp.nonProxyHosts=${hosts.join('|')}`,
    // By default Java sends no Basic credentials for a tunnel, not even those that a program's Authenticator has.
    ...(login === undefined ? [] : ['-Djdk.http.auth.tunneling.disabledSchemes=']),
  ];
}

/** Blanks part the words, quotes hold them together. */
function word(option: string): string {
  if (!/[\s'"]/.test(option)) return option;
  return option.includes('"') ? `'${option}'` : `"${option}"`;
}
