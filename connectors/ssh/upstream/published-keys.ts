import type { Pin } from './host-keys.ts';

const GITHUB: readonly Pin[] = [
  { fingerprint: 'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU', type: 'ssh-ed25519' },
  { fingerprint: 'SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM', type: 'ecdsa-sha2-nistp256' },
  { fingerprint: 'SHA256:uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s', type: 'ssh-rsa' },
];

/** Host keys that their owners publish, by host and port. */
const PUBLISHED: Readonly<Record<string, readonly Pin[]>> = {
  // https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/githubs-ssh-key-fingerprints
  'github.com:22': GITHUB,
  // https://docs.github.com/en/authentication/troubleshooting-ssh/using-ssh-over-the-https-port
  'ssh.github.com:443': GITHUB,
  // https://docs.gitlab.com/user/gitlab_com/#ssh-host-keys-fingerprints
  'gitlab.com:22': [
    { fingerprint: 'SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8', type: 'ssh-ed25519' },
    { fingerprint: 'SHA256:HbW3g8zUjNSksFbqTiUWPWg2Bq1x8xdGUrliXFzSnUw', type: 'ecdsa-sha2-nistp256' },
    { fingerprint: 'SHA256:ROQFvPThGrW4RuWLoL9tq9I9zJ42fK4XywyRtbOz/EQ', type: 'ssh-rsa' },
  ],
  // https://bitbucket.org/blog/ssh-host-key-changes, the two that it added on 2023-05-15
  'bitbucket.org:22': [
    { fingerprint: 'SHA256:ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM', type: 'ssh-ed25519' },
    { fingerprint: 'SHA256:FC73VB6C4OQLSCrjEayhMp9UMxS97caD/Yyi2bhW/J0', type: 'ecdsa-sha2-nistp256' },
  ],
};

/** The published keys of a host; none where it publishes none that are known here. */
export function publishedKeys(host: string, port: number): readonly Pin[] {
  const name = `${host.toLowerCase()}:${port}`;
  return Object.hasOwn(PUBLISHED, name) ? PUBLISHED[name]! : [];
}
