import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface SweepHit {
  readonly file: string;
  readonly form: string;
}

export interface SweepReport {
  readonly canaries: number;
  readonly files: number;
  readonly bytes: number;
  readonly hits: readonly SweepHit[];
}

/** The forms a secret may hide in. Each is a needle that stands whole in the haystack. */
export function formsOf(secret: string): ReadonlyMap<string, Buffer> {
  const bytes = Buffer.from(secret);
  const forms = new Map<string, string>([
    ['raw', secret],
    ['hex', bytes.toString('hex')],
    ['HEX', bytes.toString('hex').toUpperCase()],
    ['percent', encodeURIComponent(secret)],
    ['percent-all', [...bytes].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('')],
    ['json', JSON.stringify(secret).slice(1, -1)],
    ['json-u', [...secret].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')],
  ]);
  // Base64 of a longer text that holds the secret: three alignments; characters that depend on neighbours are cut off.
  for (const shift of [0, 1, 2]) {
    const encoded = Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64');
    const clean = encoded.slice(shift === 0 ? 0 : 4, Math.floor((shift + bytes.length) / 3) * 4);
    forms.set(`base64+${shift}`, clean);
    forms.set(`base64url+${shift}`, clean.replaceAll('+', '-').replaceAll('/', '_'));
  }
  const needles = [...forms].map(([form, text]) => [form, Buffer.from(text)] as const);
  return new Map([...needles, ['utf16', Buffer.from(secret, 'utf16le')]]);
}

/** Looks for every canary in every file of `artefacts`, in every form. */
export function sweep(canaries: readonly string[], artefacts: string): SweepReport {
  const hits: SweepHit[] = [];
  const forms = canaries.length === 0 ? [] : [...searchesOf(canaries)];
  let bytes = 0;
  const files = readdirSync(artefacts);
  for (const name of files) {
    const file = join(artefacts, name);
    if (!statSync(file).isFile()) continue;
    const haystack = readFileSync(file);
    bytes += haystack.length;
    for (const [form, search] of forms) if (found(haystack, search)) hits.push({ file: name, form });
  }
  return { canaries: canaries.length, files: files.length, bytes, hits };
}

interface Search {
  /** What every needle of this form begins with. */
  readonly beginning: Buffer;
  /** The whole needles by their length. */
  readonly needles: ReadonlyMap<number, ReadonlySet<string>>;
}

/**
 * One pass a form instead of one a canary: canaries begin alike, so that only the places where the common beginning
 * stands need a closer look.
 */
function searchesOf(canaries: readonly string[]): Map<string, Search> {
  const common = formsOf(commonBeginning(canaries));
  const searches = new Map<string, Search>();
  for (const [form, beginning] of common) {
    const needles = new Map<number, Set<string>>();
    for (const canary of canaries) {
      const needle = formsOf(canary).get(form)!;
      if (!needle.subarray(0, beginning.length).equals(beginning)) throw new Error(`${form} has no common beginning`);
      const same = needles.get(needle.length) ?? new Set();
      needles.set(needle.length, same.add(needle.toString('latin1')));
    }
    searches.set(form, { beginning, needles });
  }
  return searches;
}

function commonBeginning(canaries: readonly string[]): string {
  let [common = ''] = canaries;
  for (const canary of canaries) while (!canary.startsWith(common)) common = common.slice(0, -1);
  return common;
}

function found(haystack: Buffer, { beginning, needles }: Search): boolean {
  for (let at = haystack.indexOf(beginning); at >= 0; at = haystack.indexOf(beginning, at + 1)) {
    for (const [length, same] of needles) if (same.has(haystack.toString('latin1', at, at + length))) return true;
  }
  return false;
}
