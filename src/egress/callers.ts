import { createHash, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../credential/secret.ts';
import { SidecarError } from '../error.ts';
import type { Callers } from '../http/binding.ts';
import type { Principal } from '../policy/request.ts';

export interface CallersOptions {
  /** Only a digest of each token is kept: the secrets may be wiped afterwards. */
  readonly agents: readonly { readonly name: string; readonly token: Secret }[];
  /** Who it is that shows no token. */
  readonly fallback?: string;
  /** True where a token must be shown, unless there is a `fallback`. */
  readonly required: boolean;
}

/** Finds out who uses the proxy by the token shown; one that is wrong is never taken for none. */
export interface TokenCallers extends Callers {
  /** True where there are tokens that could be shown. */
  readonly asks: boolean;
  /** Whoever shows no token; undefined where one must be shown. */
  readonly anonymous: Principal | undefined;
  /** RFC 1929: name and token, or a token alone with the other empty. Errors: `proxy-auth-required`. */
  identifySocks(user: Uint8Array, password: Uint8Array): Principal;
}

/** What can be tried is 2^128; what people make up is less. */
const TOKEN_BYTES_MIN = 16;
const FALLBACK_AGENT = 'local';
/** RFC 9110 section 11.4; `token68` of RFC 9110 section 11.2 for Basic, and any characters of a field for Bearer. */
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
const BEARER = /^bearer +(\S+)$/i;
const COLON = 0x3a;
const NOTHING = Buffer.alloc(0);

/** Errors: `config-invalid` for tokens that are too short, or that two agents share. */
export function openCallers(options: CallersOptions): TokenCallers {
  return new Tokens(options);
}

interface Agent {
  readonly principal: Principal;
  readonly name: Buffer;
  readonly digest: Buffer;
}

class Tokens implements TokenCallers {
  readonly anonymous: Principal | undefined;
  readonly #agents: readonly Agent[];

  constructor({ agents, fallback, required }: CallersOptions) {
    this.#agents = agents.map(openAgent);
    refuseShared(this.#agents);
    const agent = fallback ?? (required ? undefined : FALLBACK_AGENT);
    this.anonymous = agent === undefined ? undefined : { agent, attested: 'listener' };
  }

  get asks(): boolean {
    return this.#agents.length > 0;
  }

  identify(headers: readonly string[]): Principal {
    const shown: string[] = [];
    for (let at = 0; at + 1 < headers.length; at += 2) {
      if (headers[at]!.toLowerCase() === 'proxy-authorization') shown.push(headers[at + 1]!);
    }
    const [field] = shown;
    if (field === undefined) {
      if (this.anonymous === undefined) throw unproven('no token');
      return this.anonymous;
    }
    if (shown.length > 1) throw unproven('Proxy-Authorization more than once');
    const bearer = BEARER.exec(field)?.[1];
    if (bearer !== undefined) return this.#prove(NOTHING, Buffer.from(bearer, 'latin1'));
    const basic = BASIC.exec(field)?.[1];
    if (basic === undefined) throw unproven('neither Basic nor Bearer, or not as they are written');
    return this.#basic(basic);
  }

  identifySocks(user: Uint8Array, password: Uint8Array): Principal {
    // What was sent stays with whoever received it; these are wiped.
    return this.#prove(Buffer.from(user), Buffer.from(password));
  }

  /** RFC 7617 section 2. */
  #basic(text: string): Principal {
    const pair = Buffer.from(text, 'base64');
    // Node reads on over what is no base64; a text that does not come out again was none.
    const canonical = pair.toString('base64').replace(/=+$/, '') === text.replace(/=+$/, '');
    const colon = pair.indexOf(COLON);
    if (!canonical || colon < 0) {
      pair.fill(0);
      throw unproven('Basic without base64 of user and password');
    }
    return this.#prove(pair.subarray(0, colon), pair.subarray(colon + 1));
  }

  /** Overwrites both. Takes the same time whichever agents there are, and whatever is right about the two. */
  #prove(user: Buffer, password: Buffer): Principal {
    const alone = user.length === 0 || password.length === 0;
    const token = digestOf(password.length === 0 ? user : password);
    const name = digestOf(user);
    user.fill(0);
    password.fill(0);
    let proven: Principal | undefined;
    for (const agent of this.#agents) {
      const isToken = timingSafeEqual(agent.digest, token);
      const isName = timingSafeEqual(agent.name, name);
      if (isToken && (isName || alone)) proven = agent.principal;
    }
    if (proven === undefined) throw unproven('no agent has this token');
    return proven;
  }
}

function openAgent({ name, token }: CallersOptions['agents'][number]): Agent {
  if (token.length < TOKEN_BYTES_MIN) {
    throw new SidecarError('config-invalid', {
      detail: `the token of agent ${JSON.stringify(name)} is shorter than ${TOKEN_BYTES_MIN} bytes`,
    });
  }
  return {
    principal: { agent: name, attested: 'token' },
    name: digestOf(Buffer.from(name)),
    digest: token.expose(digestOf),
  };
}

function refuseShared(agents: readonly Agent[]): void {
  const byDigest = new Map<string, string>();
  for (const { digest, principal } of agents) {
    const key = digest.toString('hex');
    const other = byDigest.get(key);
    if (other !== undefined) {
      throw new SidecarError('config-invalid', {
        detail: `agents ${JSON.stringify(other)} and ${JSON.stringify(principal.agent)} have the same token`,
      });
    }
    byDigest.set(key, principal.agent);
  }
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** The reason never quotes what was shown. */
function unproven(reason: string): SidecarError {
  return new SidecarError('proxy-auth-required', { detail: reason });
}
