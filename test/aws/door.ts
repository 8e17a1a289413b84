export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Where a client goes, and what it holds. */
export interface Door {
  readonly endpoints: Readonly<Record<'s3' | 'dynamodb' | 'sqs' | 'sts', string>>;
  readonly region: string;
  readonly credentials: Credentials;
  /** What is stored through it goes here. */
  readonly bucket: string;
  /** True where the store, or the sidecar before it, takes checksums behind the body. */
  readonly trailers: boolean;
}

/** The key of the agent: opens nothing. */
export const DUMMY: Credentials = {
  accessKeyId: 'AGENTSOWNKEY0001',
  secretAccessKey: 'opens-nothing-but-the-sidecar',
};
/** Some clients insist on one; it must never leave the sidecar. */
export const DUMMY_TOKEN = 'token-that-nobody-issued';

/** Names of objects that a path is easily mangled over. */
export const HARD_KEYS = [
  "a dir/k(1)+é&=~*'!.txt",
  'a//b',
  '../x',
  './y/../z',
  'percent%2Fsign%20',
  'tab\tand "quotes"',
  'a/',
  '☃/…',
] as const;
