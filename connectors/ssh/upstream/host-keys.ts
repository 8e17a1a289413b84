import {
  fingerprint,
  FingerprintPins,
  type KeyAlgorithm,
  readPublicKey,
  readPublicLine,
  WireError,
} from 'secretless-sidecar/connector/ssh';

const TEXT_BYTES_MAX = 256 * 1024;
const KEYS_MAX = 64;
/** The type as `ssh-keygen -l` ends its lines with it. ECDSA does not tell its curve. */
const SHOWN_TYPES: Readonly<Record<string, readonly KeyAlgorithm[]>> = {
  ED25519: ['ssh-ed25519'],
  RSA: ['ssh-rsa'],
  ECDSA: ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'],
};

/** A host key that is known. */
export interface Pin {
  /** `SHA256:…`; as good as the key itself, and every way to write a key comes down to it. */
  readonly fingerprint: string;
  /** Absent where only the fingerprint is known. */
  readonly type?: KeyAlgorithm;
}

/**
 * The keys of the credential `hostKey`: the bytes of one as SSH writes it (CyberArk's broker), or lines of `type
 * Base64`, of Base64 alone, of `SHA256:…`, or of what `ssh-keygen -l` prints. Errors: `WireError`, which quotes nothing.
 */
export function readHostKeys(bytes: Uint8Array): readonly Pin[] {
  if (bytes.length > TEXT_BYTES_MAX) throw new WireError(`a text of ${bytes.length} bytes`);
  if (bytes[0] === 0) return [pinOf(bytes)];
  const lines = joined(
    Buffer.from(bytes)
      .toString('latin1')
      .split(/\r?\n|(?<=SHA256:[^\s,]*)[ ,]+(?=SHA256:)/),
  );
  const pins = lines.flatMap((line, index) => {
    try {
      return readLine(line);
    } catch (error) {
      if (error instanceof WireError) throw new WireError(`key ${index + 1} of ${lines.length}: ${error.message}`);
      throw error;
    }
  });
  if (pins.length === 0) throw new WireError('no key is there');
  if (pins.length > KEYS_MAX) throw new WireError(`${pins.length} keys`);
  return pins;
}

/** Without blank lines and comments, and with Base64 that was wrapped put together: a key begins with `AAAA`. */
function joined(lines: readonly string[]): readonly string[] {
  const found: string[] = [];
  for (const line of lines.map((each) => each.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const isRest = /^[A-Za-z0-9+/]+=*$/.test(line) && !line.startsWith('AAAA');
    if (isRest && /^AAAA[A-Za-z0-9+/]*$/.test(found.at(-1) ?? '')) found[found.length - 1] += line;
    else found.push(line);
  }
  return found;
}

function readLine(line: string): readonly Pin[] {
  const [, shown, word] = /^(?:\d+ )?(SHA256:\S+)(?: .*\((\S+)\))?$/.exec(line) ?? [];
  if (shown !== undefined) {
    new FingerprintPins([shown]);
    const types = word === undefined ? undefined : SHOWN_TYPES[word];
    return types === undefined ? [{ fingerprint: shown }] : types.map((type) => ({ fingerprint: shown, type }));
  }
  if (line.startsWith('AAAA')) return [pinOf(readBase64(line))];
  const { type, blob } = readPublicLine(line);
  // What stands in front would be taken for options, and left unread.
  if (!line.startsWith(type))
    throw new WireError('a key with something in front: lines of known_hosts go to knownHosts');
  return [pinOf(blob)];
}

function readBase64(line: string): Buffer {
  const blob = Buffer.from(line, 'base64');
  if (blob.toString('base64').replace(/=+$/, '') !== line.replace(/=+$/, '')) throw new WireError('no Base64');
  return blob;
}

function pinOf(blob: Uint8Array): Pin {
  const { algorithm } = readPublicKey(blob);
  return { fingerprint: fingerprint(blob), type: algorithm };
}
