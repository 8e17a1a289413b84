// An HTTP API that wants a token, in place of one that you use.
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const PRICES = { tea: 4, coffee: 7 };

function digest(text) {
  return createHash('sha256').update(text).digest();
}

const expected = digest(`Bearer ${readFileSync(process.env.TOKEN_FILE, 'utf8').trimEnd()}`);

const server = createServer((request, response) => {
  const answer = (status, body) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (request.url === '/healthz') return answer(200, {});
  if (!timingSafeEqual(digest(request.headers.authorization ?? ''), expected))
    return answer(401, { error: 'no token' });
  const product = /^\/v1\/prices\/(\w+)$/.exec(request.url)?.[1];
  return Object.hasOwn(PRICES, product ?? '') ? answer(200, { price: PRICES[product] }) : answer(404, {});
});

server.listen(Number(process.env.PORT ?? 8080), '0.0.0.0');
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit());
