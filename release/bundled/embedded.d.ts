/** What `release/bundle.ts` writes into the single file. */
declare module 'secretless:embedded' {
  /** Of package.json. */
  export const VERSION: string;
  /** `config/demo.yml`. */
  export const DEMO_FILE: string;
  /** The program of the thread that derives keys, whole. */
  export const DERIVE_WORKER: string;
}
