import { headerValues } from '../connector/head.ts';
import { SidecarError } from '../error.ts';
import { parseAuthority } from '../http/authority.ts';
import type { TunnelRequest } from '../http/front.ts';
import type { Asked } from './binding.ts';

/** RFC 9112 section 3.2.3: a port is always there. */
const WITH_PORT = /:[0-9]+$/;

/** Where a CONNECT wants to be led. Errors: `request-malformed`, `host-mismatch`. */
export function connectTarget({ target, headers }: TunnelRequest): Pick<Asked, 'host' | 'port'> {
  if (!WITH_PORT.test(target)) throw new SidecarError('request-malformed', { detail: 'CONNECT without a port' });
  const asked = parseAuthority(target, 'https');
  const hosts = headerValues(headers, 'host');
  if (hosts.length > 1) throw new SidecarError('request-malformed', { detail: 'more than one Host field' });
  const [host] = hosts;
  if (host !== undefined && !agrees(host, asked)) throw new SidecarError('host-mismatch');
  return asked;
}

/** The port may be left out: clients disagree about which one is meant then. */
function agrees(written: string, { host, port }: Pick<Asked, 'host' | 'port'>): boolean {
  try {
    const named = parseAuthority(written, 'https');
    return named.host === host && (named.port === port || !WITH_PORT.test(written));
  } catch {
    return false;
  }
}
