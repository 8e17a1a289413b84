declare module 'postject' {
  interface Injection {
    readonly sentinelFuse: string;
    readonly machoSegmentName?: string;
  }

  /** Writes `resource` into the executable `file`, in place, and sets the fuse that makes Node look for it. */
  export function inject(file: string, name: string, resource: Buffer, options: Injection): Promise<void>;
}
