declare module 'bcrypt-pbkdf' {
  /** 0 where `key` was filled with `keyBytes` bytes; -1 where an argument is out of its range. */
  export function pbkdf(
    passphrase: Uint8Array,
    passphraseBytes: number,
    salt: Uint8Array,
    saltBytes: number,
    key: Uint8Array,
    keyBytes: number,
    rounds: number,
  ): number;
}
