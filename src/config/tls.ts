import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TlsConfig } from './config.ts';
import type { Context } from './context.ts';
import { buildReference } from './credentials.ts';
import { resolveIn } from './paths.ts';
import type { Path } from './node.ts';
import type { Service } from './schema.ts';
import type { Loose } from './validate.ts';

const CERTIFICATE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]*-----END (?:TRUSTED )?CERTIFICATE-----/g;
const HOST_NAME = /^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/i;

/** Reads what `tls` names, so that a missing file or a broken certificate is found before anything runs. */
export function buildTls(written: Loose<Service['tls']> | undefined, path: Path, context: Context): TlsConfig {
  if (written === undefined) return {};
  const { report, options } = context;
  const ca = certificates(written.ca, [...path, 'ca'], context);
  const certificate = certificates(written.cert, [...path, 'cert'], context);
  const reference = buildReference(written.key, [...path, 'key'], true, context);
  const key = reference?.from === 'file' ? { from: 'file', get: resolveIn(options.file, reference.get) } : reference;
  if (written.cert !== undefined && written.key === undefined)
    report.error(path, '`cert` needs its `key`', { on: 'key' });
  if (written.key !== undefined && written.cert === undefined)
    report.error(path, '`key` needs its `cert`', { on: 'key' });
  if (written.servername !== undefined && !HOST_NAME.test(written.servername)) {
    report.error([...path, 'servername'], 'must be a host name');
  }
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(key === undefined ? {} : { key }),
    ...(written.servername === undefined ? {} : { servername: written.servername }),
  };
}

function certificates(written: string | undefined, path: Path, { report, options }: Context): string | undefined {
  if (written === undefined) return undefined;
  let text = written;
  if (!written.includes('-----BEGIN ')) {
    const read = options.readFile ?? ((name) => readFileSync(name, 'utf8'));
    try {
      text = read(resolveIn(options.file, written));
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      report.error(path, `the file cannot be read${code === undefined ? '' : ` (${code})`}`);
      return undefined;
    }
  }
  const blocks = text.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) report.error(path, 'holds no certificate: PEM text begins with -----BEGIN CERTIFICATE-----');
  for (const block of blocks) {
    if (parses(block)) continue;
    report.error(path, 'holds a certificate that cannot be read');
    break;
  }
  return text;
}

function parses(block: string): boolean {
  try {
    new X509Certificate(block);
    return true;
  } catch {
    return false;
  }
}
