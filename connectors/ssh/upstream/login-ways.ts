import { Secret, SidecarError } from 'secretless-sidecar/connector';
import {
  type Certificate,
  certificateProblem,
  type CertificateProblem,
  type PrivateKey,
  readCertificate,
  readPrivateKey,
  readPublicLine,
  WireError,
} from 'secretless-sidecar/connector/ssh';
import { answerWithPassword, loginKey, type LoginMethod } from '../transport/index.ts';
import type { UpstreamLogin } from './log-in.ts';

const CERTIFICATE_TEXT_BYTES_MAX = 96 * 1024;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

const PROBLEMS: Readonly<Record<CertificateProblem, string>> = {
  'wrong-kind': 'the certificate is one of a host',
  'not-yet-valid': 'the certificate is not valid yet',
  expired: 'the certificate has expired',
  'wrong-principal': 'the certificate is not for the user that logs in',
  'critical-option': 'the certificate has an option that is not known',
};

/** The ways to log in that some credentials allow, for one login. */
export class LoginWays implements Disposable {
  /** The strongest first. */
  readonly methods: readonly LoginMethod[];
  readonly #copies: readonly Secret[];

  private constructor(methods: readonly LoginMethod[], copies: readonly Secret[]) {
    this.methods = methods;
    this.#copies = copies;
  }

  /**
   * A certificate alone where there is one, as its key without it is another credential; then the password, asked for at
   * once or in a dialogue. Errors: `credential-missing` where there is none, `credential-unfit` where one cannot be used
   * or has expired.
   */
  static async of(login: UpstreamLogin): Promise<LoginWays> {
    const { credentials } = login;
    const methods: LoginMethod[] = [];
    if (credentials.has('privateKey')) {
      const key = await privateKeyOf(login);
      methods.push({ method: 'publickey', key: loginKey(key, certificateOf(login, key)) });
    } else if (credentials.has('certificate')) {
      throw new SidecarError('credential-missing', { detail: 'a certificate needs its private key' });
    }
    if (!credentials.has('password')) {
      if (methods.length > 0) return new LoginWays(methods, []);
      throw new SidecarError('credential-missing', { detail: 'there is neither a private key nor a password' });
    }
    const password = oneLine(credentials.get('password'), 'password');
    methods.push({ method: 'password', password });
    methods.push({ method: 'keyboard-interactive', answer: answerWithPassword(password), insteadOf: 'password' });
    return new LoginWays(methods, [password]);
  }

  /** Overwrites the copies that were made. */
  [Symbol.dispose](): void {
    for (const copy of this.#copies) copy.wipe();
  }
}

function privateKeyOf({ credentials, version, memory }: UpstreamLogin): Promise<PrivateKey> {
  const text = credentials.get('privateKey');
  // A key without a passphrase is read in a moment; it is not held on to.
  if (!credentials.has('passphrase')) return readPrivateKey(text);
  return memory.key(version, async () => {
    const passphrase = oneLine(credentials.get('passphrase'), 'passphrase');
    try {
      return await readPrivateKey(text, passphrase);
    } finally {
      passphrase.wipe();
    }
  });
}

function certificateOf(login: UpstreamLogin, key: PrivateKey): Certificate | undefined {
  if (!login.credentials.has('certificate')) return undefined;
  const certificate = login.credentials.get('certificate').expose(readText);
  if (!certificate.key.blob.equals(key.publicBlob)) throw unfit('the certificate belongs to another key');
  const use = { kind: 'user', principal: login.upstream.user, now: new Date() } as const;
  const problem = certificateProblem(certificate, use);
  if (problem !== undefined) throw unfit(PROBLEMS[problem]);
  return certificate;
}

function readText(bytes: Buffer): Certificate {
  try {
    if (bytes.length > CERTIFICATE_TEXT_BYTES_MAX) throw new WireError(`a text of ${bytes.length} bytes`);
    return readCertificate(readPublicLine(bytes.toString('latin1')).blob);
  } catch (error) {
    if (error instanceof WireError) throw unfit(`the certificate cannot be used: ${error.message}`);
    throw error;
  }
}

/** A copy without the line end that files have. */
function oneLine(secret: Secret, name: string): Secret {
  return secret.expose((bytes) => {
    const end = bytes.at(-1) !== NEWLINE ? bytes.length : bytes.length - (bytes.at(-2) === RETURN ? 2 : 1);
    const line = bytes.subarray(0, end);
    if (line.some((byte) => byte === NEWLINE || byte === RETURN || byte === 0)) {
      throw new SidecarError('credential-unfit', { detail: `credential "${name}" holds a line break or NUL` });
    }
    return new Secret(line);
  });
}

function unfit(detail: string): SidecarError {
  return new SidecarError('credential-unfit', {
    detail,
    next: 'ask the operator to look at the private key and the certificate of this service',
  });
}
