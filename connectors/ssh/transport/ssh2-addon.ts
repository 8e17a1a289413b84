/** ssh2's native addon, as far as the ciphers with a tag go: it encrypts and decrypts in the memory it is given. */
export interface Addon {
  readonly AESGCMCipher: new (
    cipher: string,
    key: Buffer,
    iv: Buffer,
  ) => {
    /** Length, body, room for the tag. */
    encrypt(packet: Buffer): void;
    free(): void;
  };
  readonly AESGCMDecipher: new (
    cipher: string,
    key: Buffer,
    iv: Buffer,
  ) => {
    decrypt(body: Buffer, bodyBytes: number, tag: Buffer): void;
    free(): void;
  };
  readonly ChaChaPolyCipher: new (key: Buffer) => {
    encrypt(packet: Buffer, number: number): void;
    free(): void;
  };
  readonly ChaChaPolyDecipher: new (key: Buffer) => {
    /** Keeps the encrypted length for the tag, which `decrypt` checks. */
    decryptLen(length: Buffer, number: number): number;
    decrypt(body: Buffer, tag: Buffer, number: number): void;
    free(): void;
  };
}
