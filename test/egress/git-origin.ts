import { spawn } from 'node:child_process';
import type { Answer } from './origins.ts';

/** Serves the repositories of a folder with git's own CGI program (RFC 3875). */
export function gitAnswer(root: string): Answer {
  return (request, response, path) => {
    const { headers } = request;
    const child = spawn('git', ['http-backend'], {
      env: {
        PATH: process.env['PATH'],
        HOME: root,
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: '1',
        GIT_PROTOCOL: String(headers['git-protocol'] ?? ''),
        REMOTE_USER: 'pusher',
        REMOTE_ADDR: '127.0.0.1',
        REQUEST_METHOD: request.method,
        PATH_INFO: path,
        QUERY_STRING: request.url!.split('?')[1] ?? '',
        CONTENT_TYPE: headers['content-type'] ?? '',
        ...(headers['content-length'] === undefined ? {} : { CONTENT_LENGTH: headers['content-length'] }),
        ...(headers['content-encoding'] === undefined ? {} : { HTTP_CONTENT_ENCODING: headers['content-encoding'] }),
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.on('error', () => undefined);
    request.pipe(child.stdin);
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.once('close', () => {
      const whole = Buffer.concat(chunks);
      const end = whole.indexOf('\r\n\r\n');
      const lines = whole.subarray(0, end).toString('latin1').split('\r\n');
      const fields = Object.fromEntries(lines.map((line) => line.split(/:\s*/, 2) as [string, string]));
      const { Status: status = '200', ...rest } = fields;
      response.writeHead(Number.parseInt(status, 10), rest);
      response.end(whole.subarray(end + 4));
    });
  };
}
