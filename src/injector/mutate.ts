import { checkOf, placeOf } from '../config/check-schema.ts';
import { readAnnotations } from './annotations.ts';
import { repositoryOf } from './image.ts';
import { planInjection, type AgentEnvironment } from './plan.ts';
import { AnnotatedSchema, PodSchema, type Annotated, type Pod } from './pod.ts';
import { Problems, quoted } from './problems.ts';
import { isNewPod, type Review, type Verdict } from './review.ts';
import type { Resources } from './sidecar-container.ts';
import type { Wanted } from './wanted.ts';

export interface MutateOptions {
  /** Of this program. */
  readonly version: string;
  /** Of the sidecar, where a pod names none. */
  readonly image: string;
  /** Repositories that a pod may take another image from, besides that of `image`. */
  readonly repositories: readonly string[];
  readonly resources: Resources;
  /** Address that sidecars answer probes at: `0.0.0.0`, or `[::]`. */
  readonly host: string;
  /** Whether this cluster knows native sidecars. */
  readonly native: () => boolean;
  readonly agentEnvironment: AgentEnvironment;
}

const checkAnnotated = checkOf(AnnotatedSchema);
const checkPod = checkOf(PodSchema);

/** What becomes of the object of a review. Pure. */
export function mutate(review: Review, options: MutateOptions): Verdict {
  if (!isNewPod(review)) return { result: 'ignored' };
  const problems = new Problems();
  const { object } = review;
  const error = checkAnnotated(object)[0];
  if (error !== undefined) return malformed(placeOf(error), problems);
  const annotations = (object as Annotated).metadata?.annotations ?? {};
  const wanted = readAnnotations(annotations, problems);
  if (wanted === undefined) return denied(problems) ?? { result: 'ignored' };
  if (Object.hasOwn(annotations, MIRROR))
    problems.mistake('a static pod cannot be injected: write the sidecar into it');
  const wrong = checkPod(object)[0];
  if (wrong !== undefined) return malformed(placeOf(wrong), problems);
  const native = wanted.native ?? options.native();
  const image = imageOf(wanted, options, problems);
  const patch = planInjection(object as Pod, wanted, { ...options, image, native }, problems);
  const { warnings } = problems;
  return (
    denied(problems) ??
    (patch.length === 0 ? { result: 'unchanged', warnings } : { result: 'injected', patch, warnings })
  );
}

/** Of a pod that stands for one that a kubelet started from a file. */
const MIRROR = 'kubernetes.io/config.mirror';

function denied({ denial }: Problems): Verdict | undefined {
  return denial === undefined ? undefined : { result: 'denied', denial };
}

function malformed(path: readonly string[], problems: Problems): Verdict {
  problems.mistake(`the pod cannot be read at ${quoted(path.join('.'))}`);
  return { result: 'denied', denial: problems.denial! };
}

/** Whoever chooses the image chooses what reads the credentials. */
function imageOf(wanted: Wanted, { image, repositories }: MutateOptions, problems: Problems): string {
  if (wanted.image === undefined) return image;
  const repository = repositoryOf(wanted.image);
  if (repository === undefined) problems.mistake(`${quoted(wanted.image)} is no name of an image`);
  else if (repository !== repositoryOf(image) && !repositories.includes(repository)) {
    problems.refuse(
      `image ${quoted(wanted.image)} is not from a repository that this injector allows: see --repository`,
    );
  }
  return wanted.image;
}
