/** Why a pod is not admitted as it stands, and what its author is told besides. */
export class Problems {
  readonly #mistakes: string[] = [];
  readonly #refusals: string[] = [];
  readonly #warnings: string[] = [];

  /** The pod asks for something that cannot be done: 400. */
  mistake(text: string): void {
    this.#mistakes.push(text);
  }

  /** What the pod asks for would let an agent at the credentials: 403. */
  refuse(text: string): void {
    this.#refusals.push(text);
  }

  warn(text: string): void {
    this.#warnings.push(text);
  }

  /** Undefined where the pod may come. */
  get denial(): Denial | undefined {
    const all = [...new Set([...this.#refusals, ...this.#mistakes])];
    if (all.length === 0) return undefined;
    const shown = all.slice(0, SHOWN_MAX);
    if (all.length > shown.length) shown.push(`and ${all.length - shown.length} more`);
    const code = this.#refusals.length > 0 ? 403 : 400;
    return { code, reason: code === 403 ? 'Forbidden' : 'BadRequest', message: `secretless: ${shown.join('; ')}` };
  }

  get warnings(): readonly string[] {
    return [...new Set(this.#warnings)].slice(0, SHOWN_MAX);
  }
}

/** As a `Status` of Kubernetes has it. */
export interface Denial {
  readonly code: 400 | 403;
  readonly reason: 'BadRequest' | 'Forbidden';
  readonly message: string;
}

const SHOWN_MAX = 20;
const QUOTED_CHARACTERS_MAX = 80;

/** Words of a pod's author in a message: short, and on one line. */
export function quoted(text: string): string {
  const short = text.length > QUOTED_CHARACTERS_MAX ? `${text.slice(0, QUOTED_CHARACTERS_MAX)}…` : text;
  return JSON.stringify(short);
}
