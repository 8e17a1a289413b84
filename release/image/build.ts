import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TOOLS } from './base.ts';
import { confined, type Bind } from './confine.ts';
import type { BuildContext } from './context.ts';
import { expand, type Dockerfile, type Flags, type Mount, type Stage, type Step } from './dockerfile.ts';

/** What an image says of how it runs. */
export interface Image {
  /** A plain folder. */
  readonly root: string;
  readonly env: ReadonlyMap<string, string>;
  readonly labels: ReadonlyMap<string, string>;
  readonly folder: string;
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
}

/** What the steps of a Dockerfile need of this machine. */
export interface Builder {
  readonly context: BuildContext;
  /** Makes a new root that holds what an image would; true where the tools of this machine are to be shown in it. */
  readonly pull: (image: string, root: string) => boolean;
  /** An empty folder for the roots of stages. */
  readonly scratch: string;
  /** Folder of a cache that lasts between builds. */
  readonly cache: string;
  /** Files that may be needed and must not stay, by id. */
  readonly secrets: ReadonlyMap<string, string>;
  /** Variables of the steps that run, such as those that lead to a registry. */
  readonly env: Readonly<Record<string, string>>;
  readonly say: (line: string) => void;
}

/** Does what a container engine does with the file, step by step. Throws where a step fails. */
export function buildImage({ args, stages }: Dockerfile, builder: Builder): Image {
  const outer = new Map([['BUILDPLATFORM', 'local'], ...args.map(({ name, value }) => [name, value ?? ''] as const)]);
  const built = new Map<string, Built>();
  let last: Built | undefined;
  for (const [at, stage] of stages.entries()) {
    last = buildStage(stage, expand(stage.from, outer), built, builder);
    built.set(stage.name ?? String(at), last);
  }
  if (last === undefined) throw new Error('no stage');
  return last;
}

interface Built extends Image {
  readonly showsTools: boolean;
}

function buildStage(stage: Stage, from: string, earlier: ReadonlyMap<string, Built>, builder: Builder): Built {
  builder.say(`FROM ${from}${stage.name === undefined ? '' : ` AS ${stage.name}`}`);
  if (earlier.has(from)) throw new Error(`a stage on another one is not known here: ${from}`);
  const root = join(builder.scratch, stage.name ?? 'final');
  const state = new State(root, builder.pull(from, root), earlier, builder);
  for (const step of stage.steps) state.take(step);
  return state;
}

class State implements Built {
  readonly root: string;
  readonly showsTools: boolean;
  readonly env = new Map([['PATH', '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']]);
  readonly labels = new Map<string, string>();
  folder = '/';
  user = '0:0';
  entrypoint: readonly string[] = [];
  command: readonly string[] = [];
  healthcheck: readonly string[] = [];
  readonly #args = new Map<string, string>();
  readonly #earlier: ReadonlyMap<string, Built>;
  readonly #builder: Builder;

  constructor(root: string, showsTools: boolean, earlier: ReadonlyMap<string, Built>, builder: Builder) {
    this.root = root;
    this.showsTools = showsTools;
    this.#earlier = earlier;
    this.#builder = builder;
  }

  take(step: Step): void {
    switch (step.do) {
      case 'arg':
        for (const { name, value } of step.pairs) this.#args.set(name, this.#expand(value ?? ''));
        return;
      case 'env':
      case 'label':
        for (const { name, value } of step.pairs) {
          (step.do === 'env' ? this.env : this.labels).set(name, this.#expand(value!));
        }
        return;
      case 'workdir':
        this.folder = step.value;
        mkdirSync(join(this.root, step.value), { recursive: true });
        return;
      case 'user':
        this.user = step.value;
        return;
      case 'copy':
        return this.#copy(step);
      case 'run':
        return this.#run(step.argv, step.mounts);
      case 'entrypoint':
        this.entrypoint = step.argv;
        return;
      case 'cmd':
        this.command = step.argv;
        return;
      case 'healthcheck':
        return this.#takeHealthcheck(step.argv, step.flags);
      case 'expose':
      case 'stopsignal':
        return;
      default:
        step satisfies never;
    }
  }

  #expand(text: string): string {
    return expand(text, new Map([...this.env, ...this.#args]));
  }

  #takeHealthcheck(argv: readonly string[], flags: Flags): void {
    for (const name of ['interval', 'timeout', 'start-period', 'retries']) {
      if (!flags.has(name)) throw new Error(`the health check does not say its ${name}`);
    }
    this.healthcheck = argv;
  }

  #copy({ from, chown, sources, to }: Extract<Step, { do: 'copy' }>): void {
    this.#builder.say(`COPY ${sources.join(' ')} ${to}`);
    const target = join(this.root, to.startsWith('/') ? to : join(this.folder, to));
    const isFolder = to.endsWith('/');
    for (const source of sources) {
      const goal = isFolder ? join(target, source.split('/').at(-1)!) : target;
      if (from === undefined) this.#builder.context.copy(source, goal);
      else copyTree(join(this.#stage(from).root, source), goal);
      // Without it, what is copied is root's: whoever owned it there.
      execFileSync('chown', ['-Rh', chown ?? '0:0', goal]);
    }
  }

  #stage(name: string): Built {
    const stage = this.#earlier.get(name);
    if (stage === undefined) throw new Error(`no stage ${name}`);
    return stage;
  }

  #run(argv: readonly string[], mounts: readonly Mount[]): void {
    this.#builder.say(`RUN ${argv.join(' ')}`);
    const [uid, gid] = this.user.split(':').map(Number);
    const binds = [...(this.showsTools ? TOOLS : []), ...mounts.flatMap((mount) => this.#bind(mount))];
    const [program, ...words] = confined(argv, {
      root: this.root,
      user: { uid: uid!, gid: gid! },
      folder: this.folder,
      hardened: false,
      binds,
      empty: [],
    });
    const env = { HOME: '/root', ...this.#builder.env, ...Object.fromEntries([...this.#args, ...this.env]) };
    execFileSync(program!, words, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  }

  #bind({ type, target, id }: Mount): Bind[] {
    if (type === 'cache') return [{ from: this.#builder.cache, to: target, readOnly: false }];
    const secret = this.#builder.secrets.get(id ?? '');
    if (secret === undefined) return [];
    writeFileSync(join(this.root, target), '');
    return [{ from: secret, to: target, readOnly: true }];
  }
}

/** Modes are kept, save that of a folder that is made for what another one holds: engines make it 0755. */
function copyTree(from: string, to: string): void {
  const isNew = !existsSync(to);
  mkdirSync(join(to, '..'), { recursive: true });
  execFileSync('cp', ['-a', '-T', from, to]);
  if (isNew && statSync(to).isDirectory()) chmodSync(to, 0o755);
}
