import type { Secret } from 'secretless-sidecar/connector';
import { Message } from './message-numbers.ts';
import { SshError } from './ssh-error.ts';
import { wire, WireReader, type WireField } from './wire.ts';

const PROMPTS_MAX = 16;
const PROMPT_BYTES_MAX = 4096;
const TEXT_BYTES_MAX = 16 * 1024;

/** One question of the upstream. Its text is the upstream's: it is matched, never shown. */
export interface Prompt {
  readonly text: string;
  /** False where what is typed would not be shown: a password, mostly. */
  readonly echo: boolean;
}

/** Undefined: this way of logging in is given up. */
export type AnswerPrompt = (prompt: Prompt) => Secret | undefined;

/**
 * Reads a USERAUTH_INFO_REQUEST (RFC 4256 §3.2). The number of prompts is checked against our limit and against what the
 * message can hold before anything is made of it.
 */
export function readPrompts(message: Buffer): Prompt[] {
  const reader = new WireReader(message, 1);
  reader.string(TEXT_BYTES_MAX);
  reader.string(TEXT_BYTES_MAX);
  reader.string(256);
  const count = reader.uint32();
  // A prompt is a length and a boolean at least.
  if (count > PROMPTS_MAX || count * 5 > reader.left)
    throw new SshError('protocol', 'the upstream asks too many questions');
  const prompts = Array.from({ length: count }, () => ({
    text: reader.string(PROMPT_BYTES_MAX).toString('utf8'),
    echo: reader.boolean(),
  }));
  reader.end();
  return prompts;
}

/** The INFO_RESPONSE, to be wiped; undefined where a question has no answer. */
export function answerPrompts(prompts: readonly Prompt[], answer: AnswerPrompt): Buffer | undefined {
  const secrets: Secret[] = [];
  for (const prompt of prompts) {
    const secret = answer(prompt);
    if (secret === undefined) return undefined;
    secrets.push(secret);
  }
  return exposeAll(secrets, [], (fields) =>
    wire({ byte: Message.userauthInfoResponse }, { uint32: fields.length }, ...fields),
  );
}

function exposeAll(
  secrets: readonly Secret[],
  bytes: readonly Buffer[],
  use: (bytes: readonly WireField[]) => Buffer,
): Buffer {
  const [first, ...rest] = secrets;
  if (first === undefined) return use(bytes);
  return first.expose((own) => exposeAll(rest, [...bytes, own], use));
}

/** What asks for another secret than the one that is, in words beside the one for a password. */
const OTHER_SECRET = /\b(?:new|old|current|retype|re-?enter|repeat|again|confirm|verif\w*|one-?time|otp|token|code)\b/i;

/**
 * Gives the password to a hidden question for one, once; any other question is left alone. Errors: `denied` where it is
 * asked for again, which is how a dialogue refuses it.
 */
export function answerWithPassword(password: Secret): AnswerPrompt {
  let isGiven = false;
  return ({ text, echo }) => {
    if (echo || !/\bpass(?:word|phrase)\b/i.test(text) || OTHER_SECRET.test(text)) return undefined;
    if (isGiven) throw new SshError('denied', 'the upstream asks for the password once more');
    isGiven = true;
    return password;
  };
}
