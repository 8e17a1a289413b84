import { Exposer, type Exposition } from '../telemetry/exposition.ts';
import { Distribution, type Family } from '../telemetry/families.ts';
import { processFamilies } from '../telemetry/process-families.ts';
import type { Verdict } from './review.ts';

export type ReviewResult = Verdict['result'] | 'malformed' | 'failed';

const RESULTS: readonly ReviewResult[] = ['injected', 'unchanged', 'ignored', 'denied', 'malformed', 'failed'];

/** What the injector counts; names begin with `secretless_injector_`. */
export class InjectorMetrics {
  readonly #reviews = new Map<ReviewResult, number>(RESULTS.map((result) => [result, 0]));
  readonly #took = new Distribution();
  readonly #exposer: Exposer;
  #certificateEnds: Date | undefined;
  #failedRounds = 0;

  constructor() {
    this.#exposer = new Exposer([...this.#families(), ...processFamilies()]);
  }

  count(result: ReviewResult, seconds?: number): void {
    this.#reviews.set(result, this.#reviews.get(result)! + 1);
    if (seconds !== undefined) this.#took.observe(seconds);
  }

  /** When the certificate that is served ends. */
  certificateEnds(at: Date): void {
    this.#certificateEnds = at;
  }

  /** The certificate could not be looked after. */
  roundFailed(): void {
    this.#failedRounds += 1;
  }

  scrape(): Promise<Exposition> {
    return this.#exposer.scrape();
  }

  #families(): Family[] {
    const seconds = 'secretless_injector_review_seconds';
    return [
      {
        name: 'secretless_injector_reviews_total',
        help: 'Reviews by what became of them',
        type: 'counter',
        samples: () => [...this.#reviews].map(([result, value]) => ({ labels: { result }, value })),
      },
      {
        name: seconds,
        help: 'Time a review took, without the network',
        type: 'histogram',
        samples: () => this.#took.samples(seconds, {}),
      },
      {
        name: 'secretless_injector_certificate_end_timestamp_seconds',
        help: 'When the certificate that is served ends, since the epoch',
        type: 'gauge',
        samples: () => {
          const ends = this.#certificateEnds;
          return ends === undefined ? [] : [{ labels: {}, value: Math.floor(ends.getTime() / 1000) }];
        },
      },
      {
        name: 'secretless_injector_certificate_failures_total',
        help: 'Times that the certificate could not be looked after',
        type: 'counter',
        samples: () => [{ labels: {}, value: this.#failedRounds }],
      },
    ];
  }
}
