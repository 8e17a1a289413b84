import type { CredentialSpec } from 'secretless-sidecar/connector';

export type SshCredential =
  | 'address'
  | 'host'
  | 'port'
  | 'user'
  | 'privateKey'
  | 'passphrase'
  | 'password'
  | 'certificate'
  | 'hostKey'
  | 'knownHosts';

/** What a service of ssh may be lent. */
export const credentials: readonly CredentialSpec<SshCredential>[] = [
  { name: 'address', required: false, meaning: 'host:port in one; port 22', example: 'db.internal:22' },
  { name: 'host', required: false, meaning: 'name or IP address', example: 'github.com' },
  { name: 'port', required: false, meaning: 'port; 22', example: '22' },
  { name: 'user', required: false, meaning: 'user to log in as; root', example: 'git' },
  {
    name: 'privateKey',
    required: false,
    meaning: 'private key: OpenSSH, PEM, PKCS#8 or PuTTY',
    example: '{ from: file, get: /etc/ssh/deploy_key }',
    multiline: true,
  },
  {
    name: 'passphrase',
    required: false,
    meaning: 'passphrase of the private key',
    example: '{ from: env, get: DEPLOY_KEY_PASSPHRASE }',
  },
  {
    name: 'password',
    required: false,
    meaning: 'password, also for servers that ask for it in a dialogue',
    example: '{ from: env, get: SSH_PASSWORD }',
  },
  {
    name: 'certificate',
    required: false,
    meaning: 'user certificate for the private key, as `ssh-keygen -s` writes it',
    example: '{ from: file, get: /etc/ssh/deploy_key-cert.pub }',
    multiline: true,
  },
  {
    name: 'hostKey',
    required: false,
    meaning: 'host keys of the upstream: `ssh-ed25519 AAAA…` lines, SHA256 fingerprints, or the bytes of one key',
    example: 'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU',
    multiline: true,
  },
  {
    name: 'knownHosts',
    required: false,
    meaning: 'text of a `known_hosts` file',
    example: '{ from: file, get: /etc/ssh/ssh_known_hosts }',
    multiline: true,
  },
];
