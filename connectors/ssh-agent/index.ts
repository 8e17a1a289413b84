import { defineRelayConnector } from 'secretless-sidecar/connector';
import { checkSshAgentConfig, sshAgentConfig } from './config.ts';

/** An agent of SSH: signs logins and documents with keys that it never gives. */
export const sshAgent = defineRelayConnector({
  kind: 'relay',
  name: 'ssh-agent',
  summary: 'ssh-agent: signs logins and commits of git, by policy, and gives no key',
  config: sshAgentConfig,
  credentials: [
    {
      name: 'privateKey',
      required: false,
      meaning: 'private key: OpenSSH, PEM, PKCS#8 or PuTTY',
      example: '{ from: file, get: /run/keys/id_ed25519 }',
      multiline: true,
    },
    {
      name: 'passphrase',
      required: false,
      meaning: 'passphrase of `privateKey`',
      example: '{ from: env, get: KEY_PASSPHRASE }',
    },
    {
      name: 'certificate',
      required: false,
      meaning: 'OpenSSH user certificate of `privateKey`, one line',
      example: '{ from: file, get: /run/keys/id_ed25519-cert.pub }',
    },
    {
      name: 'rsa',
      required: false,
      meaning: 'a private key, as CyberArk’s broker calls it',
      example: '{ from: file, get: /run/keys/id_rsa }',
      multiline: true,
    },
    {
      name: 'ecdsa',
      required: false,
      meaning: 'a private key, as CyberArk’s broker calls it',
      example: '{ from: file, get: /run/keys/id_ecdsa }',
      multiline: true,
    },
    { name: 'comment', required: false, meaning: 'what `ssh-add -l` prints beside the keys', example: 'deploy' },
    {
      name: 'lifetime',
      required: false,
      meaning: 'seconds after which no key is offered any more, until a reload; 0: no end',
      example: '3600',
    },
    { name: 'confirm', required: false, meaning: 'whether a person says yes to each signature', example: 'true' },
  ],
  otherCredentials:
    'a private key of that name; with `Passphrase` or `Certificate` at the end of its name what belongs to it',
  otherCredentialsMultiline: true,
  check: checkSshAgentConfig,
  environment(_config, { url }) {
    if (url?.startsWith('unix://') !== true)
      return { problem: 'the service listens on no Unix socket, which ssh looks for' };
    return { set: { SSH_AUTH_SOCK: url.slice('unix://'.length) }, unset: ['SSH_AGENT_PID'] };
  },
  async open(config) {
    // Loaded at the first use: time to ready counts for those who have no such service.
    const { SshAgentService } = await import('./service.ts');
    return new SshAgentService(config);
  },
});
