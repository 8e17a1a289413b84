/** Two SSH connections joined message by message, under the eyes of a watcher. */
export { relay, type RelayEnd, type RelayOptions } from './relay.ts';
export { DROP, FORWARD, REFUSE } from './watcher.ts';
export type { ChannelTotals, ChannelView, Side, Verdict, Watcher } from './watcher.ts';
export type { ChannelOpen, ChannelPurpose } from './channel-open.ts';
export type { ChannelAsk, ChannelRequest } from './channel-request.ts';
export type { GlobalAsk, GlobalRequest } from './global-request.ts';
export { KEEPALIVE, type KeepaliveOptions } from './keepalive.ts';
export type { RelaySide } from './leg.ts';
