import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startRig, temporaryFolder } from './rig.ts';

/** The bytes up to the end of the connection, in answer to `sent`. */
async function answerTo(path: string, sent: string | Buffer): Promise<string> {
  const socket = connect(path);
  onTestFinished(() => void socket.destroy());
  let heard = '';
  socket.setEncoding('latin1').on('data', (text: string) => (heard += text));
  socket.write(sent);
  await once(socket, 'close');
  return heard;
}

/** A StartupMessage of user `age` for database `orders`. */
const STARTUP = Buffer.from('00000022000300007573657200616765006461746162617365006f72646572730000', 'hex');
const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

test('a reload may give an address to another kind of connector, and back, without closing it', async () => {
  const path = join(temporaryFolder(), 'a.sock');
  const http = `services: { a: { connector: http, listenOn: "unix://${path}", target: "http://127.0.0.1:1", credentials: { t: x }, config: { headers: { A: "{{ .t }}" } } } }`;
  const stream = `services: { a: { connector: pg, listenOn: "unix://${path}", credentials: { host: 127.0.0.1, port: 1, username: app } } }`;
  const rig = await startRig(http);
  expect(await answerTo(path, REQUEST)).toMatch(/^HTTP\/1\.1 502 /);
  await rig.rewrite(stream);
  const refused = await answerTo(path, STARTUP);
  expect(refused.startsWith('E')).toBe(true);
  expect(refused).toContain('C08001\0');
  await rig.rewrite(http);
  expect(await answerTo(path, REQUEST)).toMatch(/^HTTP\/1\.1 502 /);
});
