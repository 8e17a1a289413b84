import { headerValues, type RequestHead } from '../connector/head.ts';
import { sameOrigin, type Origin } from '../connector/origin.ts';
import { SidecarError } from '../error.ts';
import { hostAgrees, isLoopback, parseAuthority } from './authority.ts';

/** Who can connect to a listener: programs of this machine over TCP, other machines, or whoever may open a Unix socket. */
export type Exposure = 'loopback' | 'network' | 'socket';

/** `scheme://authority` and nothing behind it (RFC 6454 section 6.2). */
const WEB_ORIGIN = /^(https?):\/\/([^/?#@]+)$/i;
/** Names that a network of containers or a home network gives out; nobody can register them for a web page. */
const LOCAL_NAME = /\.(?:svc|svc\.cluster\.local|local|internal)$/;
const IPV4 = /^[0-9.]+$/;

/**
 * A page in a browser can reach a TCP listener too: by DNS rebinding (then Host is the page's own name), by a
 * cross-site request (then the browser says so) or by a WebSocket (then only Origin says so). None may spend a
 * credential. Browsers do not speak to Unix sockets.
 *
 * `target` is undefined where the connector itself finds out where a request goes: then no name but the listener's own
 * is good, since what Host says is no choice of the operator's.
 *
 * Errors: `host-mismatch`, `origin-refused`, `request-malformed`.
 */
export function refuseBrowsers(exposure: Exposure, head: RequestHead, target: Origin | undefined): void {
  if (exposure === 'socket') return;
  const host = headerValues(head.headers, 'host')[0];
  if (host !== undefined && !isOurs(host, exposure, target)) throw new SidecarError('host-mismatch');
  if (headerValues(head.headers, 'sec-fetch-site').some((value) => value.trim().toLowerCase() === 'cross-site')) {
    throw new SidecarError('origin-refused');
  }
  for (const origin of headerValues(head.headers, 'origin')) {
    if (!isFriendly(origin, exposure === 'network' ? host : undefined, target))
      throw new SidecarError('origin-refused');
  }
}

function isOurs(host: string, exposure: Exposure, target: Origin | undefined): boolean {
  if (target !== undefined && hostAgrees(host, target)) return true;
  const name = parseAuthority(host, 'http').host;
  if (isLoopback(name)) return true;
  if (exposure === 'loopback') return false;
  return name === target?.host || name.includes(':') || IPV4.test(name) || !name.includes('.') || LOCAL_NAME.test(name);
}

/** Whether a page of this origin may use the listener. `null` (sandboxed frames, files) is foreign. */
function isFriendly(text: string, host: string | undefined, target: Origin | undefined): boolean {
  const origin = webOrigin(text);
  if (origin === undefined) return false;
  if (isLoopback(origin.host) || (host !== undefined && hostAgrees(host, origin))) return true;
  return target !== undefined && sameOrigin(origin, target);
}

function webOrigin(text: string): Origin | undefined {
  const parts = WEB_ORIGIN.exec(text);
  if (parts === null) return undefined;
  const scheme = parts[1]!.toLowerCase() === 'https' ? 'https' : 'http';
  try {
    return { scheme, ...parseAuthority(parts[2]!, scheme) };
  } catch {
    return undefined;
  }
}
