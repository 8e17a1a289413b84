/** Message numbers of RFC 4253 §12, RFC 4252 §6, RFC 4254 §9, RFC 8308 §2.3. */
export const Message = {
  disconnect: 1,
  ignore: 2,
  unimplemented: 3,
  debug: 4,
  serviceRequest: 5,
  serviceAccept: 6,
  extInfo: 7,
  kexInit: 20,
  userauthRequest: 50,
  userauthFailure: 51,
  userauthSuccess: 52,
  userauthBanner: 53,
  /** PK_OK, PASSWD_CHANGEREQ and INFO_REQUEST share it: the method in use says which. */
  userauthMethod60: 60,
  userauthInfoResponse: 61,
  globalRequest: 80,
  requestSuccess: 81,
  requestFailure: 82,
  channelOpen: 90,
  channelOpenConfirmation: 91,
  channelOpenFailure: 92,
  channelWindowAdjust: 93,
  channelData: 94,
  channelExtendedData: 95,
  channelEof: 96,
  channelClose: 97,
  channelRequest: 98,
  channelSuccess: 99,
  channelFailure: 100,
} as const;

/** Reason codes of RFC 4253 §11.1. */
export const DisconnectReason = {
  protocolError: 2,
  keyExchangeFailed: 3,
  serviceNotAvailable: 7,
  hostKeyNotVerifiable: 9,
  connectionLost: 10,
  byApplication: 11,
  noMoreAuthMethods: 14,
} as const;

/** Reason codes of RFC 4254 §5.1. */
export const OpenFailure = { prohibited: 1, connectFailed: 2, unknownType: 3, resourceShortage: 4 } as const;
