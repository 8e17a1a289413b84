import { SidecarError } from '../../error.ts';
import type { ToolResult } from '../tool.ts';

export interface KeychainTool {
  argv(service: string, account: string): readonly string[];
  /** Variables that it needs to reach the keychain. */
  readonly environment: readonly string[];
  readonly install: string;
  /** True where the tool says that there is no such item. */
  isMissing(result: ToolResult): boolean;
}

/** macOS: security(1). It ends with the low byte of the error: errSecItemNotFound, -25300, is 44. */
const SECURITY: KeychainTool = {
  argv: (service, account) => ['security', 'find-generic-password', '-w', '-s', service, '-a', account],
  environment: ['USER', 'LOGNAME'],
  install: 'it is a part of macOS: see that /usr/bin is in PATH',
  isMissing: ({ exitCode }) => exitCode === 44,
};

/** Linux: secret-tool(1) of libsecret. It ends with 1 and says nothing where there is no such item. */
const SECRET_TOOL: KeychainTool = {
  argv: (service, account) => ['secret-tool', 'lookup', 'service', service, 'account', account],
  environment: ['DBUS_SESSION_BUS_ADDRESS', 'XDG_RUNTIME_DIR', 'DISPLAY', 'WAYLAND_DISPLAY'],
  install: 'install libsecret-tools (Debian, Ubuntu) or libsecret (Fedora, Arch)',
  isMissing: ({ exitCode, complaint }) => exitCode === 1 && complaint === '',
};

/** The tool of a platform, as Node names it; `provider-tool-missing` where there is none. */
export function keychainTool(platform: string): KeychainTool {
  if (platform === 'darwin') return SECURITY;
  if (platform === 'linux') return SECRET_TOOL;
  throw new SidecarError('provider-tool-missing', { detail: `no keychain is known for ${platform}; use file or exec` });
}
