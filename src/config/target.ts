import type { Target } from './config.ts';

export type ParsedTarget = { readonly target: Target } | { readonly problem: string };

/**
 * Reads the URL that a reverse service forwards to. Only what every reader reads alike is taken: the WHATWG parser
 * repairs a URL (backslashes, dot segments, odd spellings of a host), so a text that it had to repair is refused.
 */
export function parseTarget(text: string): ParsedTarget {
  if (!/^https?:\/\/[^\s\\]+$/i.test(text)) return { problem: 'a target is a URL like https://api.example.com' };
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return { problem: 'a target is a URL like https://api.example.com' };
  }
  if (url.username !== '' || url.password !== '' || text.includes('@')) {
    return { problem: 'a target has no user or password: put them under credentials' };
  }
  if (text.includes('?')) return { problem: 'a target has no query' };
  if (text.includes('#')) return { problem: 'a target has no fragment' };
  const [, authority, path] = /^https?:\/\/([^/]*)(.*)$/i.exec(text) as unknown as [string, string, string];
  const hostProblem = repairedHost(authority, url);
  if (hostProblem !== undefined) return { problem: hostProblem };
  if (path !== '' && (path !== url.pathname || path.includes('//') || /%2f|%5c|%2e/i.test(path))) {
    return {
      problem: 'the path of a target is written plainly, without dot segments, doubled slashes or odd characters',
    };
  }
  const scheme = url.protocol === 'https:' ? 'https' : 'http';
  const port = url.port === '' ? (scheme === 'https' ? 443 : 80) : Number(url.port);
  if (port === 0) return { problem: 'the port of a target is from 1 to 65535' };
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { target: { origin: { scheme, host, port }, basePath: path.replace(/\/$/, '') } };
}

function repairedHost(authority: string, url: URL): string | undefined {
  const host = authority.replace(/:\d*$/, '').toLowerCase();
  const isName = !host.startsWith('[');
  if (/:$/.test(authority)) return 'the port of the target is missing';
  if (host === url.hostname || !isName) return undefined;
  return 'the host of the target has another standard spelling: write a lower-case ASCII name or a plain IP address';
}
