import { SidecarError } from '../error.ts';
import type { EgressConfig } from '../config/config.ts';
import { loadOrRefuse } from '../main.ts';
import { defineCommand, UsageError } from './command.ts';
import { configFile, FILE_OPTION } from './config-file.ts';
import { EXIT } from './exit.ts';
import { iptablesRules, nftRules } from './redirect-rules.ts';

const UID_MAX = 2 ** 32 - 2;

export const command = defineCommand({
  name: 'transparent',
  summary: 'print the firewall rules that lead every program of this machine, or pod, to the egress listener',
  usage: '--print-rules [--nft] [-f file] [--uid number]',
  options: {
    file: FILE_OPTION,
    'print-rules': { type: 'boolean', meaning: 'print them; nothing is changed here' },
    nft: { type: 'boolean', meaning: 'for nft instead of iptables-restore and ip6tables-restore' },
    uid: { type: 'string', value: 'number', meaning: 'user that the sidecar runs as; default: that of this command' },
  },
  run({ values }, io) {
    if (values['print-rules'] !== true) throw new UsageError('say what of it: secretless transparent --print-rules');
    const uid = uidOf(values.uid);
    const { egress } = loadOrRefuse(configFile(values.file, io.env), io.env, () => undefined);
    const { port, covers } = portOf(egress);
    for (const [family, address] of Object.entries(ADDRESSES)) {
      if (covers.includes(address)) continue;
      io.stderr.write(`secretless: nothing listens on ${address}: ${family} connections will be refused\n`);
    }
    io.stderr.write(`secretless: programs that run as user ${uid} too are not led to the sidecar\n`);
    io.stdout.write(values.nft === true ? nftRules({ port, uid }) : iptablesRules({ port, uid }));
    return Promise.resolve(EXIT.ok);
  },
});

/** Where redirected connections of this machine arrive. */
const ADDRESSES = { IPv4: '127.0.0.1', IPv6: '::1' } as const;
const EVERYWHERE: Readonly<Record<string, readonly string[]>> = {
  '0.0.0.0': [ADDRESSES.IPv4],
  '::': [ADDRESSES.IPv4, ADDRESSES.IPv6],
  localhost: [ADDRESSES.IPv4],
};

/** Errors: `config-invalid`. */
function portOf(egress: EgressConfig | undefined): { port: number; covers: readonly string[] } {
  if (egress?.mode !== 'transparent') throw invalid('write `egress: { mode: transparent, listenOn: … }` in it');
  const doors = egress.listenOn.flatMap((address) => (address.kind === 'tcp' ? address : []));
  const [first] = doors;
  if (first === undefined || first.port === 0) throw invalid('`egress.listenOn` needs a TCP port that stays');
  const same = doors.filter(({ port }) => port === first.port);
  return { port: first.port, covers: same.flatMap(({ host }) => EVERYWHERE[host] ?? [host]) };
}

function invalid(detail: string): SidecarError {
  return new SidecarError('config-invalid', { detail });
}

/** Errors: `UsageError`. */
function uidOf(text: string | undefined): number {
  if (text === undefined) {
    const uid = process.getuid?.();
    if (uid === undefined) throw new UsageError('this system has no numbers of users: the rules are for Linux');
    return uid;
  }
  const uid = /^\d{1,10}$/.test(text) ? Number(text) : UID_MAX + 1;
  if (uid > UID_MAX) throw new UsageError(`--uid is the number of a user, not "${text}"`);
  return uid;
}
