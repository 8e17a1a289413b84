const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * SASLprep (RFC 4013) as PostgreSQL does it: ASCII stays as it is, and so do bytes that are not UTF-8 and text that the
 * profile prohibits, since the server made its verifier the same way (src/common/saslprep.c). The answer is a copy of
 * its own; the caller wipes it.
 */
export async function saslPrep(password: Buffer): Promise<Buffer> {
  if (password.every((byte) => byte < 0x80)) return Buffer.from(password);
  let text: string;
  try {
    text = STRICT_UTF8.decode(password);
  } catch {
    return Buffer.from(password);
  }
  const { saslprep } = await import('@mongodb-js/saslprep');
  try {
    const prepared = saslprep(text);
    return Buffer.from(prepared === '' ? password : prepared);
  } catch {
    return Buffer.from(password);
  }
}
