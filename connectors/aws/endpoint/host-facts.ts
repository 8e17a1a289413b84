/** What a host name of AWS says. */
export interface HostFacts {
  readonly partition: string;
  /** Signing name. */
  readonly service: string;
  /** Other signing names that the host takes. */
  readonly otherServices?: readonly string[];
  /** Region to sign for; absent where that is a set of regions. */
  readonly region?: string;
  /**
   * Scopes that the host takes. `one`: its own region. `global`: any region of the partition, and it is signed for
   * `region` whatever the scope says. `any`: any region of the partition, and that is the one to sign for. `set`:
   * SigV4a.
   */
  readonly regions: 'one' | 'global' | 'any' | 'set';
  /** Regions to sign for in other partitions that share a `global` host, by the id of the partition. */
  readonly elsewhere?: Readonly<Record<string, string>>;
  /**
   * Bucket in the host, so that the path holds the key alone. An access point is `accesspoint/<name>-<account>`, which no
   * bucket can be called.
   */
  readonly bucket?: string;
  /** True for hosts of S3 whose paths begin with no bucket. */
  readonly control?: true;
}
