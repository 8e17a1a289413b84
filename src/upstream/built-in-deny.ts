import { AddressSet, type Block, type NumericAddress } from './address-set.ts';

export type AddressClass = 'metadata' | 'loopback' | 'linkLocal' | 'private' | 'multicast' | 'unspecified' | 'reserved';

/** Where nothing of the open internet is (IANA special-purpose registries; RFC 6890). */
const BLOCKS: Readonly<Record<AddressClass, readonly string[]>> = {
  // Whoever reaches one of these gets the credentials of the machine.
  metadata: [
    '169.254.169.254', // AWS, Azure, Google, Oracle, DigitalOcean, OpenStack
    '169.254.170.2', // AWS ECS
    '169.254.170.23', // AWS EKS pod identity
    '168.63.129.16', // Azure platform
    '100.100.100.200', // Alibaba
    '192.0.0.192', // Oracle classic
    'fd00:ec2::254', // AWS
    'fd00:ec2::23', // AWS EKS pod identity
    'fd20:ce::254', // Google
    'fd00:c1::a9fe:a9fe', // Oracle
    'fe80::a9fe:a9fe', // OpenStack
  ],
  loopback: ['127.0.0.0/8', '::1'],
  linkLocal: ['169.254.0.0/16', 'fe80::/10'],
  // With the shared space of carriers (RFC 6598) and the old site-local addresses (RFC 3879).
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7', 'fec0::/10'],
  multicast: ['224.0.0.0/4', 'ff00::/8'],
  unspecified: ['0.0.0.0/8', '::'],
  // Protocol assignments, documentation, benchmarks, discard, segment routing, what is not assigned.
  reserved: [
    '192.0.0.0/24',
    '192.0.2.0/24',
    '192.88.99.0/24',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '240.0.0.0/4',
    '100::/64',
    '100:0:0:1::/64',
    '2001:2::/48',
    '2001:10::/28',
    '2001:20::/28',
    '2001:db8::/32',
    '3fff::/20',
    '5f00::/16',
  ],
};

const SETS = Object.entries(BLOCKS).map(([name, blocks]) => ({
  name: name as AddressClass,
  set: new AddressSet(blocks),
}));

/** The class of an address, and the block that puts it there; the narrowest decides. Undefined where it may be anybody's. */
export function classify(address: NumericAddress): { name: AddressClass; block: Block } | undefined {
  let found: { name: AddressClass; block: Block } | undefined;
  for (const { name, set } of SETS) {
    const block = set.find(address);
    if (block !== undefined && block.prefix > (found?.block.prefix ?? -1)) found = { name, block };
  }
  return found;
}
