// Uses a database and an API, and holds no password and no token. What it does by hand any driver does the same way:
// connect to the address in DATABASE_URL, without a password.
import { once } from 'node:events';
import { connect } from 'node:net';

function frame(type, body) {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
}

/** Messages of a PostgreSQL server, one after the other. */
async function* messages(socket) {
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 5 && bytes.length > bytes.readUInt32BE(1)) {
      const end = bytes.readUInt32BE(1) + 1;
      yield { type: String.fromCharCode(bytes[0]), body: bytes.subarray(5, end) };
      bytes = bytes.subarray(end);
    }
  }
}

function columns(body) {
  const found = [];
  for (let at = 2; found.length < body.readUInt16BE(0);) {
    const length = body.readInt32BE(at);
    found.push(length < 0 ? null : body.toString('utf8', at + 4, at + 4 + length));
    at += 4 + Math.max(length, 0);
  }
  return found;
}

/** Rows of one statement, as text. */
async function query(url, statement) {
  const { hostname, port, pathname } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  const startup = Buffer.from(`\0\x03\0\0user\0anybody\0database\0${pathname.slice(1)}\0\0`);
  socket.write(frame('', startup));
  const rows = [];
  let asked = false;
  for await (const { type, body } of messages(socket)) {
    if (type === 'E') throw new Error(body.toString().split('\0').filter(Boolean).join(' '));
    if (type === 'D') rows.push(columns(body));
    if (type !== 'Z') continue;
    if (asked) break;
    asked = true;
    socket.write(frame('Q', Buffer.from(`${statement}\0`)));
  }
  socket.end(frame('X', Buffer.alloc(0)));
  return rows;
}

async function price(product) {
  const answer = await fetch(`${process.env.PRICES_URL}/v1/prices/${product}`);
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()).price;
}

for (const [product, amount] of await query(
  process.env.DATABASE_URL,
  'SELECT product, amount FROM orders ORDER BY id',
)) {
  console.log(`${amount} ${product}: ${amount * (await price(product))}`);
}
// What no rule allows.
const refused = await fetch(`${process.env.PRICES_URL}/v1/prices/tea`, { method: 'DELETE' });
console.log(`DELETE: ${refused.status} ${(await refused.json()).code}`);
