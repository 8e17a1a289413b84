const BUCKETS_MAX = 1024;
const REGION = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;

/** In which region buckets are, learnt from S3's redirects; the least recently used is forgotten. */
export class BucketRegions {
  readonly #regions = new Map<string, string>();

  of(bucket: string): string | undefined {
    const region = this.#regions.get(bucket);
    if (region === undefined) return undefined;
    this.#regions.delete(bucket);
    this.#regions.set(bucket, region);
    return region;
  }

  /** False where that was known, or is no region. */
  learn(bucket: string, region: string): boolean {
    if (!REGION.test(region) || this.#regions.get(bucket) === region) return false;
    this.#regions.delete(bucket);
    this.#regions.set(bucket, region);
    if (this.#regions.size > BUCKETS_MAX) this.#regions.delete(this.#regions.keys().next().value!);
    return true;
  }
}
