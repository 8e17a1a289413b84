import type { SshAgentConfig } from './config.ts';
import type { Reach } from './conversation.ts';
import { isAnyOf } from './glob.ts';
import { HostList } from './hosts.ts';
import type { DocumentSigning, LoginSigning, Signing } from './signing.ts';

/** What a service signs at all, whatever policy says. */
export class SigningLimits {
  readonly #config: SshAgentConfig;
  readonly #hosts: HostList | undefined;

  constructor(config: SshAgentConfig) {
    this.#config = config;
    this.#hosts = config.hosts === undefined ? undefined : new HostList(config.hosts);
  }

  /** Whether a connection that serves there hears of any key; policy is not asked where it does not. */
  isOpenTo({ hosts, forwarded }: Reach, now: Date): boolean {
    if (forwarded && this.#config.forwarding !== true) return false;
    return hosts.every((host) => this.#hosts?.allows(host, now) ?? true);
  }

  /** Why that is not signed, in words that quote nothing of it; undefined where it may be. */
  refusalOf(signing: Signing, now: Date): string | undefined {
    if (signing.forwarded && this.#config.forwarding !== true)
      return 'a host on the way asked, and `forwarding` is off';
    if (!signing.via.every((host) => this.#hosts?.allows(host, now) ?? true)) {
      return 'a host on the way is not one of `hosts`';
    }
    return signing.kind === 'login' ? this.#loginRefusal(signing, now) : this.#documentRefusal(signing);
  }

  #loginRefusal({ user, host }: LoginSigning, now: Date): string | undefined {
    const { logins = true, users, unbound = this.#hosts === undefined ? 'allow' : 'deny' } = this.#config;
    if (!logins) return 'a login, and `logins` is off';
    if (users !== undefined && !isAnyOf(users, user)) return 'a login as none of `users`';
    if (host === undefined) return unbound === 'deny' ? 'a login to a host that is not proven' : undefined;
    return this.#hosts?.allows(host, now) === false ? 'a login to none of `hosts`' : undefined;
  }

  #documentRefusal({ namespace }: DocumentSigning): string | undefined {
    const { signatures = ['git'] } = this.#config;
    return isAnyOf(signatures, namespace) ? undefined : 'a document of none of the namespaces of `signatures`';
  }
}
