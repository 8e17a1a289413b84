import { type Partition, PARTITIONS } from './partitions.ts';
import { onAwsSuffix } from './resource-hosts.ts';

/** A host of AWS, cut before its suffix. */
export interface CutHost {
  /** Labels before the suffix; at least one. */
  readonly labels: readonly string[];
  readonly kind: 'standard' | 'dual-stack' | 'on-aws';
  /** Those that share the suffix; the first is the one without a word of its own in its regions. */
  readonly partitions: readonly Partition[];
}

/** RFC 1035 section 2.3.4. */
export const HOST_LENGTH_MAX = 253;
/** A wildcard certificate of AWS covers no underscore; a bucket name may begin with a digit and has no capitals. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

interface Suffix {
  readonly text: string;
  readonly kind: CutHost['kind'];
  readonly partitions: Partition[];
}

const SUFFIXES: readonly Suffix[] = collect();

/** `undefined` for a host that is none of AWS. Takes lower case only, as an `Origin` has it. */
export function cutSuffix(host: string): CutHost | undefined {
  if (host.length > HOST_LENGTH_MAX) return undefined;
  const suffix = SUFFIXES.find(({ text }) => host.endsWith(text));
  if (suffix === undefined) return undefined;
  const labels = host.slice(0, -suffix.text.length).split('.');
  // An `xn--` label is a name in other letters: none of AWS, and no bucket.
  if (!labels.every((label) => LABEL.test(label) && !label.startsWith('xn--'))) return undefined;
  return { labels, kind: suffix.kind, partitions: suffix.partitions };
}

function collect(): Suffix[] {
  const found: Suffix[] = [];
  const add = (text: string, kind: CutHost['kind'], partition: Partition): void => {
    const known = found.find((one) => one.text === text);
    if (known !== undefined) known.partitions.push(partition);
    else found.push({ text, kind, partitions: [partition] });
  };
  for (const partition of PARTITIONS) {
    add(`.${partition.suffix}`, 'standard', partition);
    add(`.${partition.dualStackSuffix}`, 'dual-stack', partition);
    add(`.${onAwsSuffix(partition)}`, 'on-aws', partition);
  }
  return found;
}
