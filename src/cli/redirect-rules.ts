export interface Redirection {
  /** Port of the listener. */
  readonly port: number;
  /** User that the sidecar runs as: what it dials itself is left alone. */
  readonly uid: number;
}

/** Name of the table, and of the chains. */
const NAME = 'secretless';

/**
 * For `nft -f -`: IPv4 and IPv6 in one table, which replaces itself. What this machine says to itself is left alone. QUIC is
 * refused at once, so that clients fall back to TLS over TCP (RFC 9308 section 2).
 */
export function nftRules({ port, uid }: Redirection): string {
  return `# nft -f -; to undo: nft delete table inet ${NAME}
table inet ${NAME}
delete table inet ${NAME}
table inet ${NAME} {
  chain to_sidecar {
    type nat hook output priority -100; policy accept;
    oifname "lo" return
    meta skuid ${uid} return
    tcp dport { 80, 443 } redirect to :${port}
  }
  chain no_quic {
    type filter hook output priority 0; policy accept;
    oifname "lo" return
    meta skuid ${uid} return
    udp dport 443 reject
  }
}
`;
}

/** For `iptables-restore --noflush` and, as it is, for `ip6tables-restore --noflush`. */
export function iptablesRules({ port, uid }: Redirection): string {
  const chain = NAME.toUpperCase();
  const exempt = [`-A ${chain} -o lo -j RETURN`, `-A ${chain} -m owner --uid-owner ${uid} -j RETURN`];
  return `${[
    '# for both: iptables-restore --noflush, ip6tables-restore --noflush',
    `# to undo: iptables -t nat -D OUTPUT -p tcp -j ${chain}; iptables -D OUTPUT -p udp --dport 443 -j ${chain}`,
    '*nat',
    `:${chain} - [0:0]`,
    `-A OUTPUT -p tcp -j ${chain}`,
    ...exempt,
    `-A ${chain} -p tcp --dport 80 -j REDIRECT --to-ports ${port}`,
    `-A ${chain} -p tcp --dport 443 -j REDIRECT --to-ports ${port}`,
    'COMMIT',
    '*filter',
    `:${chain} - [0:0]`,
    `-A OUTPUT -p udp --dport 443 -j ${chain}`,
    ...exempt,
    `-A ${chain} -j REJECT`,
    'COMMIT',
  ].join('\n')}\n`;
}
