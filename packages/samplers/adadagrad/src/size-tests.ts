import type { GradientStatistics } from './statistics.js';

/** By which test the size of the next batch is found. */
export type BatchTest = 'norm' | 'ip' | 'ip+orth' | 'coord';

/** How exact a batch gradient is wanted. */
export interface Accuracy {
  /** η of the norm test and the coordinate test. */
  readonly eta: number;
  /** θ of the inner product test. */
  readonly theta: number;
  /** ν of the orthogonality test. */
  readonly nu: number;
}

/** Norm test: b = ‖Var‖₁/(η²·‖ḡ‖²). Not finite where ḡ = 0. */
export const normTest = ({ variance, squaredNorm }: GradientStatistics, eta: number): number =>
  variance / (eta ** 2 * squaredNorm);

/** Inner product test: b = Var_i⟨g_i, ḡ⟩/(θ²·‖ḡ‖⁴). */
export const innerProductTest = ({ innerProductVariance, squaredNorm }: GradientStatistics, theta: number): number =>
  innerProductVariance / (theta ** 2 * squaredNorm ** 2);

/** Orthogonality test: b = ‖Var_i(part of g_i orthogonal to ḡ)‖₁/(ν²·‖ḡ‖²). */
export const orthogonalityTest = ({ orthogonalVariance, squaredNorm }: GradientStatistics, nu: number): number =>
  orthogonalVariance / (nu ** 2 * squaredNorm);

/** Coordinate-wise norm test: b = max_j Var_j/(η²·ḡ_j²). */
export const coordinateTest = ({ coordinateRatio }: GradientStatistics, eta: number): number =>
  coordinateRatio / eta ** 2;

/** The size of a batch that the test asks for; NaN or infinite where the gradient is 0. */
export function candidateSize(test: BatchTest, statistics: GradientStatistics, { eta, theta, nu }: Accuracy): number {
  switch (test) {
    case 'norm':
      return normTest(statistics, eta);
    case 'ip':
      return innerProductTest(statistics, theta);
    case 'ip+orth': {
      const [inner, orthogonal] = [innerProductTest(statistics, theta), orthogonalityTest(statistics, nu)];
      return Number.isNaN(inner) ? inner : Number.isNaN(orthogonal) ? orthogonal : Math.max(inner, orthogonal);
    }
    case 'coord':
      return coordinateTest(statistics, eta);
  }
}

export interface SizeLimits {
  readonly maxBatch: number;
  /** Largest factor from one batch to the next; default: none. */
  readonly growth?: number | undefined;
  /** Sizes that occur: all, or powers of two (and the largest), so that few programs are compiled. */
  readonly sizes?: 'all' | 'powers-of-two';
}

/** The size of the next batch: min(b_max, max(b, ⌈candidate⌉)). A candidate that is not finite counts as b_max. */
export function nextBatchSize(
  size: number,
  candidate: number,
  { maxBatch, growth, sizes = 'all' }: SizeLimits,
): number {
  const wanted = Number.isFinite(candidate) ? Math.ceil(candidate) : maxBatch;
  let next = Math.min(maxBatch, Math.max(size, wanted));
  if (growth !== undefined) next = Math.min(next, Math.max(size, Math.floor(size * growth)));
  if (sizes === 'powers-of-two' && next > size) next = Math.min(maxBatch, 2 ** Math.ceil(Math.log2(next)));
  return next;
}

/** How a batch is spread over workers and accumulated micro-batches. */
export interface Spread {
  /** Examples of one worker in one go. */
  readonly micro: number;
  /** Gradients that are accumulated before a step. */
  readonly accumulation: number;
  /** What this makes together: the size, rounded up. */
  readonly batch: number;
}

/** Micro-batches grow up to `maxMicro`, then more of them are accumulated; the batch is rounded up to what fits. */
export function microBatches(
  size: number,
  {
    workers = 1,
    maxMicro,
    accumulation = 1,
  }: { readonly workers?: number; readonly maxMicro: number; readonly accumulation?: number },
): Spread {
  const times = Math.max(accumulation, Math.ceil(size / (workers * maxMicro)));
  const micro = Math.ceil(size / (workers * times));
  return { micro, accumulation: times, batch: micro * workers * times };
}
