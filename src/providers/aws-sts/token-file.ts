import { open } from 'node:fs/promises';
import { Secret } from '../../credential/secret.ts';
import { SidecarError } from '../../error.ts';

/** The longest that STS takes (API reference, AssumeRoleWithWebIdentity). */
const TOKEN_BYTES_MAX = 20_000;

/** The token that stands in the file now: whoever issues it puts a new one there long before the old one ends. */
export async function readTokenFile(path: string): Promise<Secret> {
  const buffer = Buffer.alloc(TOKEN_BYTES_MAX + 1);
  try {
    const handle = await open(path, 'r');
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0).finally(() => handle.close());
    if (bytesRead > TOKEN_BYTES_MAX) throw unreadable(`the token has more than ${TOKEN_BYTES_MAX} bytes`);
    let end = bytesRead;
    while (end > 0 && buffer[end - 1]! <= 0x20) end -= 1;
    if (end === 0) throw new SidecarError('credential-missing', { detail: 'the token file is empty' });
    return new Secret(buffer.subarray(0, end));
  } catch (thrown) {
    if (thrown instanceof SidecarError) throw thrown;
    const code = (thrown as NodeJS.ErrnoException).code ?? 'unknown';
    if (code === 'ENOENT') throw new SidecarError('credential-missing', { detail: 'there is no token file' });
    throw unreadable(`the token file cannot be read: ${code}`);
  } finally {
    buffer.fill(0);
  }
}

function unreadable(detail: string): SidecarError {
  return new SidecarError('credential-unavailable', { detail });
}
