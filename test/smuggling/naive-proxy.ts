import { connect, createServer } from 'node:net';
import { listen } from './recorder.ts';
import type { Admitted } from './verdict.ts';

/**
 * What the sidecar must not be: reads heads with a regular expression, knows Content-Length only, and forwards the bytes
 * it was given. Proves that the cases are hostile and that the verdict can see it.
 */
export async function startNaiveProxy(
  upstream: number,
  secret: string,
): Promise<{ port: number; admitted: Admitted[] }> {
  const admitted: Admitted[] = [];
  const server = createServer((socket) => {
    const onward = connect(upstream, '127.0.0.1');
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      for (;;) {
        const found = /^([^]*?)\r\n([^]*?)\r\n\r\n/.exec(text);
        if (found === null) return;
        const [head, line, fields] = found as unknown as [string, string, string];
        const length = Number(/^content-length:\s*(\d+)/im.exec(fields)?.[1] ?? 0);
        const [method = '', target = ''] = line.split(' ');
        admitted.push({ method, path: target.split(/[?#]/, 1)[0]! });
        onward.write(
          `${line}\r\nX-Api-Key: ${secret}\r\n${fields}\r\n\r\n${text.slice(head.length, head.length + length)}`,
          'latin1',
        );
        text = text.slice(head.length + length);
      }
    });
    onward.pipe(socket);
    socket.on('error', () => onward.destroy()).on('close', () => onward.destroy());
    onward.on('error', () => socket.destroy());
  });
  return { port: await listen(server, () => undefined), admitted };
}
