import { createServer, request as send } from 'node:http';
import { listen } from './recorder.ts';

/**
 * What the sidecar must not be: searches the text of the URL and of Host for the bound host, and sends the credential
 * to wherever a lenient URL parser says. Proves that the pairs are confusing and that the recorders can see it.
 */
export async function startAncestorProxy(bound: string, header: string, secret: string): Promise<number> {
  const server = createServer({ insecureHTTPParser: true }, (request, response) => {
    const text = `${request.url} ${request.headers.host ?? ''}`;
    let url: URL;
    try {
      url = new URL(request.url!.startsWith('/') ? `http://${request.headers.host}${request.url}` : request.url!);
    } catch {
      response.writeHead(400).end();
      return;
    }
    if (url.protocol !== 'http:') {
      response.writeHead(400).end();
      return;
    }
    const headers = text.includes(bound) ? { [header]: secret } : {};
    const onward = send(url, { headers }, (answer) => answer.pipe(response));
    onward.on('error', () => response.destroy());
    onward.end();
  });
  return listen(server, () => server.closeAllConnections());
}
