/**
 * Key material as SSH writes it, published as `secretless-sidecar/connector/ssh`: keys, certificates, signatures and
 * known hosts, for every connector and provider that speaks of them. Nothing here touches a socket or a file.
 */
export {
  CERTIFICATE_SUFFIX,
  certificateProblem,
  isCertificateType,
  readCertificate,
  type Certificate,
  type CertificateProblem,
  type CertificateUse,
} from './certificate.ts';
export { KnownHosts, type HostName, type HostVerdict } from './known-hosts.ts';
export { FingerprintPins } from './pins.ts';
export { PrivateKey, readPrivateKey } from './private-key.ts';
export { fingerprint, publicKeyOf, readPublicKey, type KeyAlgorithm, type PublicKey } from './public-key.ts';
export { readPublicLine, type PublicLine } from './public-line.ts';
export { isSignedBy, signatureAlgorithmsOf, type SignatureAlgorithm } from './signature.ts';
export { number, strings, uint32, WireError, WireReader } from './wire.ts';
