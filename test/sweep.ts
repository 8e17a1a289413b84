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
  const needles = canaries.map(formsOf);
  let bytes = 0;
  const files = readdirSync(artefacts);
  for (const name of files) {
    const file = join(artefacts, name);
    if (!statSync(file).isFile()) continue;
    const haystack = readFileSync(file);
    bytes += haystack.length;
    for (const forms of needles) {
      for (const [form, needle] of forms) if (haystack.includes(needle)) hits.push({ file: name, form });
    }
  }
  return { canaries: canaries.length, files: files.length, bytes, hits };
}
