import { guardOf } from '../config/check-schema.ts';
import { Type, type Static } from '../schema.ts';
import type { Operation } from './json-patch.ts';
import type { Denial } from './problems.ts';

/** https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#webhook-request-and-response */
const API_VERSION = 'admission.k8s.io/v1';

const ReviewSchema = Type.Object({
  apiVersion: Type.Literal(API_VERSION),
  kind: Type.Literal('AdmissionReview'),
  request: Type.Object({
    uid: Type.String({ minLength: 1, maxLength: 128 }),
    kind: Type.Object({ group: Type.String(), version: Type.String(), kind: Type.String() }),
    subResource: Type.Optional(Type.String()),
    namespace: Type.Optional(Type.String()),
    operation: Type.String(),
    object: Type.Optional(Type.Unknown()),
  }),
});

const isReview = guardOf(ReviewSchema);

export type Review = Static<typeof ReviewSchema>['request'];

/** Undefined where it is none: then there is nobody to answer. */
export function parseReview(body: Buffer): Review | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
  return isReview(parsed) ? parsed.request : undefined;
}

/** Whether it is about a new pod; all else passes. */
export function isNewPod({ kind, subResource = '', operation }: Review): boolean {
  return (
    operation === 'CREATE' && subResource === '' && kind.group === '' && kind.version === 'v1' && kind.kind === 'Pod'
  );
}

/** What becomes of a pod. */
export type Verdict =
  /** It asks for nothing. */
  | { readonly result: 'ignored' }
  /** All is there already. */
  | { readonly result: 'unchanged'; readonly warnings: readonly string[] }
  | { readonly result: 'injected'; readonly patch: readonly Operation[]; readonly warnings: readonly string[] }
  | { readonly result: 'denied'; readonly denial: Denial };

/** The answer to a review, as JSON. */
export function answerText(uid: string, verdict: Verdict): string {
  return `${JSON.stringify({ apiVersion: API_VERSION, kind: 'AdmissionReview', response: { uid, ...outcome(verdict) } })}\n`;
}

function outcome(verdict: Verdict): object {
  switch (verdict.result) {
    case 'denied':
      return { allowed: false, status: { ...verdict.denial, status: 'Failure', metadata: {} } };
    case 'ignored':
      return { allowed: true };
    case 'unchanged':
      return { allowed: true, ...warned(verdict.warnings) };
    case 'injected': {
      const patch = Buffer.from(JSON.stringify(verdict.patch)).toString('base64');
      return { allowed: true, patchType: 'JSONPatch', patch, ...warned(verdict.warnings) };
    }
    default:
      return verdict satisfies never;
  }
}

/** Kubernetes drops what exceeds 4096 bytes in all. */
const WARNINGS_CHARACTERS_MAX = 2048;

function warned(warnings: readonly string[]): object {
  let left = WARNINGS_CHARACTERS_MAX;
  const shown = warnings.map((warning) => `secretless: ${warning}`).filter((text) => (left -= text.length) >= 0);
  return shown.length === 0 ? {} : { warnings: shown };
}
