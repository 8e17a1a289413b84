import { isIPv4, isIPv6 } from 'node:net';
import { isHostName, shortIPv6 } from './address.ts';
import type { OriginPattern } from './config.ts';
import type { Origin } from '../connector/origin.ts';

interface Misfit {
  readonly problem: string;
  readonly suggestion?: string;
}

const LOOKS = 'an origin looks like https://api.example.com or https://*.example.com';

/** Reads an origin, or all those whose host is below a name: `https://*.example.com:8443`. */
export function parseOriginPattern(text: string): { readonly pattern: OriginPattern } | Misfit {
  const [, scheme, authority = '', rest = ''] = /^(https?):\/\/([^/?#\\]*)(.*)$/is.exec(text) ?? [];
  if (scheme === undefined) {
    const isBare = !text.includes('://') && 'pattern' in parseOriginPattern(`https://${text}`);
    return { problem: LOOKS, ...(isBare && { suggestion: `https://${text}` }) };
  }
  if (authority.includes('@')) return { problem: 'an origin has no user or password' };
  if (rest !== '') {
    const bare = `${scheme}://${authority}`;
    const isFine = 'pattern' in parseOriginPattern(bare);
    return {
      problem: 'an origin has no path: what is encrypted cannot be told apart by it',
      ...(isFine && { suggestion: bare }),
    };
  }
  const below = authority.startsWith('*.');
  const found = parseOriginParts(scheme.toLowerCase() as Origin['scheme'], below ? authority.slice(2) : authority);
  if ('problem' in found) return found;
  const { origin } = found;
  if (below && isAddress(origin.host)) return { problem: 'nothing is below an IP address' };
  return { pattern: { ...origin, below } };
}

/** Reads the URL of a proxy. The reason never quotes it: it may hold a password. */
export function parseProxyUrl(text: string): { readonly origin: Origin } | Misfit {
  const [, scheme, authority = '', rest = ''] = /^(https?):\/\/([^/?#\\]*)(.*)$/is.exec(text) ?? [];
  if (scheme === undefined) return { problem: 'a proxy is a URL like http://proxy.internal:3128, http or https' };
  if (text.includes('@')) {
    return {
      problem:
        'the URL of a proxy has no user or password: write { url, username, password }, each fetched with `from`',
    };
  }
  if (rest !== '' && rest !== '/') return { problem: 'the URL of a proxy has no path' };
  return parseOriginParts(scheme.toLowerCase() as Origin['scheme'], authority);
}

function parseOriginParts(scheme: Origin['scheme'], authority: string): { readonly origin: Origin } | Misfit {
  const [, bracketed, bare, digits] = /^(?:\[([^\]]*)\]|([^[\]:]*))(?::([1-9][0-9]{0,4}))?$/.exec(authority) ?? [];
  const port = digits === undefined ? (scheme === 'https' ? 443 : 80) : Number(digits);
  if ((bracketed ?? bare) === undefined || port > 65_535) {
    return { problem: 'a port is from 1 to 65535, and an IPv6 address stands in brackets' };
  }
  const host = hostOf(bracketed, bare);
  if (host !== undefined) return { origin: { scheme, host, port } };
  if (authority.includes('*')) return { problem: 'one `*` stands for the names below a name: https://*.example.com' };
  return { problem: 'the host is neither a plain name nor an IP address' };
}

function hostOf(bracketed: string | undefined, bare = ''): string | undefined {
  if (bracketed !== undefined) return isIPv6(bracketed) && !bracketed.includes('%') ? shortIPv6(bracketed) : undefined;
  const host = bare.toLowerCase();
  return isIPv4(host) || isHostName(host) ? host : undefined;
}

/** An IP literal without brackets. */
export function isAddress(host: string): boolean {
  return isIPv4(host) || isIPv6(host);
}
