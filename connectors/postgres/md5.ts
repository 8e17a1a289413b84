import { createHash } from 'node:crypto';
import { type Secret, SidecarError } from 'secretless-sidecar/connector';

/**
 * The answer to AuthenticationMD5Password: `md5` and the hex of md5(hex(md5(password ‖ user)) ‖ salt). PostgreSQL
 * protocol, "Message Flow: Start-up". Errors: `login-unsupported` where the crypto library has no MD5 (FIPS).
 */
export function md5Answer(password: Secret, user: Buffer, salt: Buffer): Buffer {
  try {
    const inner = password.expose((bytes) => createHash('md5').update(bytes).update(user).digest('hex'));
    return Buffer.from(`md5${createHash('md5').update(inner, 'latin1').update(salt).digest('hex')}`);
  } catch (cause) {
    throw new SidecarError('login-unsupported', { detail: 'this build has no MD5', cause });
  }
}
