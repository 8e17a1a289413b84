import { type Dice, mutated } from './transcript-dice.ts';
import {
  authenticationOk,
  backendKey,
  cancelRequest,
  frame,
  GREASE,
  gssRequest,
  mechanisms,
  negotiate,
  parameterStatus,
  passwordMessage,
  ready,
  request,
  serverError,
  sslRequest,
  startup,
  V3_0,
  V3_2,
} from './transcript-messages.ts';
import { ScramServer } from './transcript-scram.ts';

const TYPES = 'RSKNZEvDCTWGH123\0';
const ODDITIES: readonly Buffer[] = [
  authenticationOk,
  ready(),
  backendKey(7, Buffer.from('odd!')),
  parameterStatus('a', 'b'),
  negotiate(2, '_pq_.x'),
  request(3),
  request(5, 'salt'),
  request(7),
  request(11, 'r=x,s=eA==,i=4096'),
  request(12, 'v=eA=='),
  mechanisms('SCRAM-SHA-256'),
  mechanisms('SCRAM-SHA-256-PLUS', 'OAUTHBEARER'),
  serverError('28P01'),
  serverError('57P03'),
  serverError('3D000'),
  frame('N', 'SNOTICE\0\0'),
  frame('D', '\0\0'),
];

const SETTING = parameterStatus('application_name', 'value');

/** A server that knows the password and now and then goes wrong, in a way that the dice say. */
export class FuzzedServer {
  /** All that it said. */
  readonly said: Buffer[] = [];
  readonly #dice: Dice;
  readonly #scram: ScramServer;
  /** One frame in so many goes wrong. */
  readonly #rarity: number;
  readonly #flow: (() => Buffer)[];
  #heard = 0;

  constructor(dice: Dice, password: string) {
    this.#dice = dice;
    this.#scram = new ScramServer({ password });
    this.#rarity = dice.pick([4, 10, 40, 100]);
    this.#flow = this.#wholeFlow();
  }

  #wholeFlow(): (() => Buffer)[] {
    const dice = this.#dice;
    const settings = Array.from({ length: dice.roll(80) }, () => () => SETTING);
    return [
      ...(dice.roll(4) === 0 ? [() => negotiate(2, '_pq_.x')] : []),
      () => this.#scram.offer(),
      this.#scram.continue,
      this.#scram.final,
      () => authenticationOk,
      ...settings,
      ...(dice.roll(4) === 0 ? [] : [() => backendKey(4711, dice.bytes(dice.pick([4, 32, 256])))]),
      () => ready(),
    ];
  }

  /** What the login writes; the first is its StartupMessage. */
  hears(bytes: Buffer): void {
    this.#heard += 1;
    try {
      if (this.#heard === 2) this.#scram.initial(bytes);
      if (this.#heard === 3) this.#scram.response(bytes);
    } catch {
      // A login that was told nonsense says something else; then it has nothing to prove.
    }
  }

  /** Whether the login has got what only a server with the password can say, and has proved that it knows it too. */
  get isProved(): boolean {
    return this.#scram.signature !== '' && Buffer.concat(this.said).includes(`v=${this.#scram.signature}`);
  }

  /** The next frame; undefined: it leaves. */
  says(): Buffer | undefined {
    const dice = this.#dice;
    if (this.#flow.length === 0) return undefined;
    const right = this.#flow.shift()!();
    let frames = right;
    if (dice.roll(this.#rarity) === 0) {
      switch (dice.roll(6)) {
        case 0:
          frames = dice.pick(ODDITIES);
          break;
        case 1:
          frames = Buffer.concat([dice.pick(ODDITIES), right]);
          break;
        case 2:
          frames = this.#flow.shift()?.() ?? right;
          break;
        case 3:
          this.#flow.push(() => right);
          break;
        default:
          frames = mutated(dice, right, 1, TYPES);
      }
    }
    this.said.push(frames);
    return frames;
  }
}

const NAMES = ['user', 'database', 'application_name', 'replication', 'options', '_pq_.x', 'USER', 'user ', '', 'client_encoding'];
const VALUES = ['whoever', 'orders', 'true', 'database', 'off', '', '0', '-c role=app', 'app', '\xff\xfe', 'x'.repeat(70)];

const DUMMY = passwordMessage('dummy');
const AHEAD = [[], [DUMMY], [DUMMY, frame('Q', 'select 1\0')]];
const REQUESTS = [[], [sslRequest], [sslRequest, gssRequest], [gssRequest, sslRequest], [gssRequest, sslRequest]];

/** What a client begins with, with something wrong in one message of a few. */
export function fuzzedOpening(dice: Dice): Buffer[] {
  const parameters = Array.from({ length: dice.roll(5) }, () => [dice.pick(NAMES), dice.pick(VALUES)] as const);
  const version = dice.pick([V3_0, V3_0, V3_2, GREASE, 0x0004_0000, 0x0002_0000]);
  const last =
    dice.roll(8) === 0
      ? cancelRequest(dice.roll(3), dice.bytes(dice.pick([4, 32, 256])))
      : startup([['user', 'whoever'], ...parameters], version);
  const all = [...dice.pick(REQUESTS), last, ...dice.pick(AHEAD)];
  const rarity = dice.pick([4, 10, 20]);
  return all.map((each) => (dice.roll(rarity) === 0 ? mutated(dice, each, each[0] === 0 ? 0 : 1, 'pQXdcfF') : each));
}
