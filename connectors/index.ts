/** The catalog: what this build ships. One line per connector. */
import type { Connector } from 'secretless-sidecar/connector';
import { aws } from './aws/index.ts';
import { basicAuth } from './basic-auth/index.ts';
import { http } from './http/index.ts';
import { postgres } from './postgres/index.ts';
import { ssh } from './ssh/index.ts';
import { sshAgent } from './ssh-agent/index.ts';

export const connectors: readonly Connector[] = [http, basicAuth, postgres, aws, ssh, sshAgent];
