import { defineRelayConnector } from 'secretless-sidecar/connector';
import { checkConfig, Config } from './config.ts';
import { checkCredentials } from './upstream/check.ts';
import { credentials } from './upstream/credentials.ts';

/** SSH: logs in upstream with the real credential, then passes on what policy allows. */
export const ssh = defineRelayConnector({
  kind: 'relay',
  name: 'ssh',
  sharesListeners: true,
  summary: 'SSH, and git, scp, sftp and rsync over it: logs in upstream, decides on commands and forwards',
  config: Config,
  credentials,
  check: (config, names, literals) => [...checkConfig(config), ...checkCredentials(config, names, literals)],
  via: ({ via }) => via,
  clientLogin({ agents = {} }) {
    const names = Object.keys(agents);
    if (names.length === 0) return { method: 'none' };
    const hasTokens = Object.values(agents).some(({ token }) => token !== undefined);
    return { method: hasTokens ? 'password' : 'publickey', agents: names };
  },
  async doctor() {
    const { ssh2 } = await import('./transport/index.ts');
    const name = 'native ciphers of ssh2';
    if (ssh2().native) return [{ name, verdict: 'good' }];
    const next = 'ssh works without them and costs more CPU: in a checkout `npm run addon` builds them for this Node';
    return [{ name, verdict: 'slower', next }];
  },
  async open(config) {
    // Loaded at the first use: time to ready counts for those who have no such service.
    const { SshService } = await import('./service.ts');
    return new SshService(config);
  },
});
