import { inspect } from 'node:util';

/** Everything a log could print of an object, causes and stacks included. */
export function print(object: object): string {
  const errorParts = object instanceof Error ? `${object.message} ${object.stack ?? ''}` : '';
  const shown = inspect(object, { depth: 12, showHidden: true, maxArrayLength: null, maxStringLength: null });
  return `${errorParts} ${shown} ${JSON.stringify(object)}`;
}

export function holdsSecret(text: string, secrets: Readonly<Record<string, string>>): boolean {
  return Object.values(secrets).some((secret) => tracesOf(secret).some((trace) => text.includes(trace)));
}

/** Forms that a secret takes on its way, base64 at each of its three offsets. */
function tracesOf(secret: string): string[] {
  const inBase64 = [0, 1, 2].map((offset) => {
    const whole = Buffer.from('x'.repeat(offset) + secret).toString('base64');
    // The first and last group may share bits with what stands beside the secret.
    return whole.slice(offset === 0 ? 0 : 4, whole.length - 4);
  });
  const encoded = [
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    Buffer.from(secret).toString('hex'),
  ];
  return [secret, ...encoded, ...inBase64].filter((trace) => trace.length > 3);
}
