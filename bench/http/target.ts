/** Something that load is sent to: the upstream itself, the sidecar, or a peer. */
export interface Target {
  readonly name: string;
  readonly port: number;
  /** True where the client has to send the credential, since nothing on the way adds it. */
  readonly sendsCredential: boolean;
  /** Processes whose use counts as this target's; none for the upstream itself. */
  pids(): readonly number[];
  close(): Promise<void>;
}

/** The head of a request as this target needs it. */
export function requestTo(
  { port, sendsCredential }: Target,
  token: string,
  line: string,
  fields: readonly string[] = [],
): string {
  const credential = sendsCredential ? [`Authorization: Bearer ${token}`] : [];
  const head = [
    `${line} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'Accept: application/json',
    'User-Agent: bench',
    ...credential,
    ...fields,
  ];
  return `${head.join('\r\n')}\r\n\r\n`;
}
