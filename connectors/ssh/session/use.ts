import type { Permission } from 'secretless-sidecar/connector';
import type { ChannelTotals } from '../relay/index.ts';

/** Something that policy said yes to, and what went over it. */
export class Use {
  readonly #permission: Permission;
  #bytesUp = 0;
  #bytesDown = 0;
  #status: number | undefined;

  constructor(permission: Permission) {
    this.#permission = permission;
  }

  /** A channel that belonged to it is over. */
  add({ bytesUp, bytesDown, exitStatus }: ChannelTotals): void {
    this.#bytesUp += bytesUp;
    this.#bytesDown += bytesDown;
    this.#status = exitStatus;
  }

  end(): void {
    const status = this.#status === undefined ? {} : { status: this.#status };
    this.#permission.end({ ...status, bytesUp: this.#bytesUp, bytesDown: this.#bytesDown });
  }
}
