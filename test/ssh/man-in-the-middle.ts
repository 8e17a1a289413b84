import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Transform } from 'node:stream';

/** What somebody on the way does. Directions are those of the login: `up` leads to the server. */
export type Attack =
  /** Takes the marks of strict key exchange out of both offers (CVE-2023-48795). */
  | { readonly do: 'strip-strict' }
  /** Puts a message that says nothing before or within the first key exchange, which shifts the count of all that follow. */
  | { readonly do: 'insert'; readonly direction: 'up' | 'down'; readonly within?: true }
  /** Cuts both ways after so many bytes of one. */
  | { readonly do: 'cut'; readonly direction: 'up' | 'down'; readonly bytes: number }
  /** Changes one bit of the byte at a place. */
  | { readonly do: 'flip'; readonly direction: 'up' | 'down'; readonly at: number };

export interface ManInTheMiddle {
  readonly port: number;
  /** Bytes of the last connection. */
  passed(direction: 'up' | 'down'): number;
  attack: Attack | undefined;
  stop(): Promise<void>;
}

const MARK = /,?kex-strict-[cs]-v00@openssh\.com/;
/** RFC 4253 sections 6 and 11.2: SSH_MSG_IGNORE with no text, in a packet of 16 bytes. */
const IGNORE = Buffer.from('0000000c060200000000000000000000', 'hex');

/** Somebody between a client and the server at `to`. */
export async function startManInTheMiddle(to: number, attack?: Attack): Promise<ManInTheMiddle> {
  const sockets = new Set<Socket>();
  const state: { attack: Attack | undefined } = { attack };
  const passed = { up: 0, down: 0 };
  const server = createServer((client) => {
    const onward = connect(to, '127.0.0.1');
    const both = [client, onward];
    const cut = (): void => both.forEach((socket) => socket.destroy());
    for (const socket of both) {
      sockets.add(socket.setNoDelay(true));
      socket.on('error', cut);
      socket.once('close', cut);
    }
    for (const [direction, from, into] of [['up', client, onward] as const, ['down', onward, client] as const]) {
      passed[direction] = 0;
      const count = (bytes: number): number => (passed[direction] += bytes);
      from.pipe(tamper(direction, state.attack, cut, count)).pipe(into);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    passed: (direction) => passed[direction],
    get attack() {
      return state.attack;
    },
    set attack(next) {
      state.attack = next;
    },
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

type Change = (chunk: Buffer, before: number) => Buffer;

function tamper(
  direction: 'up' | 'down',
  attack: Attack | undefined,
  cut: () => void,
  count: (bytes: number) => number,
): Transform {
  const change = changeOf(direction, attack, cut);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const before = count(0);
      count(chunk.length);
      const changed = change(chunk, before);
      // An empty chunk would end the flow.
      if (changed.length === 0) done();
      else done(null, changed);
    },
  });
}

function changeOf(direction: 'up' | 'down', attack: Attack | undefined, cut: () => void): Change {
  if (attack === undefined) return (chunk) => chunk;
  if (attack.do === 'strip-strict') return plaintext(withoutMark);
  if (attack.direction !== direction) return (chunk) => chunk;
  switch (attack.do) {
    case 'insert':
      return plaintext((packet) => Buffer.concat(attack.within === true ? [packet, IGNORE] : [IGNORE, packet]));
    case 'cut':
      return (chunk, before) => {
        if (before + chunk.length < attack.bytes) return chunk;
        // What was let through still arrives.
        setTimeout(cut, 20);
        return chunk.subarray(0, Math.max(0, attack.bytes - before));
      };
    case 'flip':
      return (chunk, before) => {
        const at = attack.at - before;
        if (at >= 0 && at < chunk.length) chunk[at]! ^= 1;
        return chunk;
      };
    default:
      return attack satisfies never;
  }
}

/** Passes the greeting on, holds back what follows until a first packet, KEXINIT, is whole, and changes that. */
function plaintext(change: (packet: Buffer) => Buffer): Change {
  let held: Buffer | undefined = Buffer.alloc(0);
  let greeted = false;
  return (chunk) => {
    if (held === undefined) return chunk;
    held = Buffer.concat([held, chunk]);
    let greeting: Buffer = Buffer.alloc(0);
    if (!greeted) {
      const end = held.indexOf('\n') + 1;
      if (end === 0) return greeting;
      greeted = true;
      greeting = held.subarray(0, end);
      held = held.subarray(end);
    }
    const end = held.length < 4 ? Infinity : 4 + held.readUInt32BE(0);
    if (held.length < end) return greeting;
    const whole = held;
    held = undefined;
    return Buffer.concat([greeting, change(whole.subarray(0, end)), whole.subarray(end)]);
  };
}

/** The packet anew, with shorter lists of algorithms (RFC 4253 sections 6 and 7.1). */
function withoutMark(packet: Buffer): Buffer {
  const payload = packet.subarray(5, packet.length - packet[4]!);
  const lists: Buffer[] = [payload.subarray(0, 17)];
  let at = 17;
  for (let list = 0; list < 10; list += 1) {
    const length = payload.readUInt32BE(at);
    const names = payload.toString('latin1', at + 4, at + 4 + length).replace(MARK, '');
    const head = Buffer.alloc(4);
    head.writeUInt32BE(names.length);
    lists.push(head, Buffer.from(names));
    at += 4 + length;
  }
  const body = Buffer.concat([...lists, payload.subarray(at)]);
  const padding = 4 + ((8 - ((body.length + 9) % 8)) % 8);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length + padding + 1);
  head[4] = padding;
  return Buffer.concat([head, body, Buffer.alloc(padding)]);
}
