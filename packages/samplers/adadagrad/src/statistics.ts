/** What one batch tells about the noise of its gradients, as sums over all parameters. ḡ is the mean of the gradients g_i. */
export interface GradientStatistics {
  /** ‖ḡ‖². */
  readonly squaredNorm: number;
  /** ‖Var‖₁ = Σ_j Var_j, of sample variances (b − 1 in the denominator). */
  readonly variance: number;
  /** Var_i⟨g_i, ḡ⟩. */
  readonly innerProductVariance: number;
  /** ‖Var_i(g_i − ⟨g_i, ḡ⟩/‖ḡ‖²·ḡ)‖₁. */
  readonly orthogonalVariance: number;
  /** max_j Var_j/ḡ_j², where 0/0 is 0. */
  readonly coordinateRatio: number;
}

/** Gradients of the examples of a batch: a row each. */
export type GradientRows = readonly ArrayLike<number>[];

/** Count, Σg and Σg² of rows, by which batches are put together exactly. */
export interface Moments {
  readonly count: number;
  readonly sum: readonly number[];
  readonly squares: readonly number[];
}

const width = (rows: GradientRows): number => rows[0]?.length ?? 0;
const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += (a[at] as number) * (b[at] as number);
  return sum;
};

/** Count, sum and sum of squares of the rows. */
export const momentsOf = (rows: GradientRows): Moments => ({
  count: rows.length,
  sum: Array.from({ length: width(rows) }, (_, at) => total(rows.map((row) => row[at] as number))),
  squares: Array.from({ length: width(rows) }, (_, at) => total(rows.map((row) => (row[at] as number) ** 2))),
});

/** Moments of micro-batches put together: those of the whole batch. */
export const combineMoments = (parts: readonly Moments[]): Moments => ({
  count: total(parts.map(({ count }) => count)),
  sum: (parts[0]?.sum ?? []).map((_, at) => total(parts.map(({ sum }) => sum[at] as number))),
  squares: (parts[0]?.squares ?? []).map((_, at) => total(parts.map(({ squares }) => squares[at] as number))),
});

/** Mean and sample variance of each coordinate. */
export function varianceOf({ count, sum, squares }: Moments): { readonly mean: number[]; readonly variance: number[] } {
  const mean = sum.map((value) => value / count);
  const variance = squares.map((value, at) => Math.max(0, value - count * (mean[at] as number) ** 2) / (count - 1));
  return { mean, variance };
}

/**
 * The variance over micro-batches of one size as the authors' code has it, by the law of total variance: mean of the
 * variances, plus mean of the squared means, less the square of the mean. With b − 1 inside of the micro-batches it is
 * larger than the variance of the whole batch, which {@link combineMoments} gives exactly.
 */
export function totalVariance(
  parts: readonly { readonly mean: readonly number[]; readonly variance: readonly number[] }[],
): {
  readonly mean: number[];
  readonly variance: number[];
} {
  const average = (of: (part: (typeof parts)[number]) => number): number => total(parts.map(of)) / parts.length;
  const coordinates = [...(parts[0]?.mean ?? []).keys()];
  const mean = coordinates.map((at) => average((part) => part.mean[at] as number));
  const variance = coordinates.map(
    (at) =>
      average((part) => part.variance[at] as number) +
      average((part) => (part.mean[at] as number) ** 2) -
      (mean[at] as number) ** 2,
  );
  return { mean, variance };
}

/** Sample variance of numbers. */
function scalarVariance(values: readonly number[]): number {
  const mean = total(values) / values.length;
  return total(values.map((value) => (value - mean) ** 2)) / (values.length - 1);
}

function statisticsOfTensor(rows: GradientRows): GradientStatistics {
  // Around the mean rather than by sums of squares: equal gradients have the variance 0 to the last bit.
  const mean = momentsOf(rows).sum.map((value) => value / rows.length);
  const variances = mean.map(
    (centre, at) => total(rows.map((row) => ((row[at] as number) - centre) ** 2)) / (rows.length - 1),
  );
  const squaredNorm = dot(mean, mean);
  const variance = total(variances);
  const innerProductVariance = scalarVariance(rows.map((row) => dot(row, mean)));
  const along = squaredNorm > 0 ? innerProductVariance / squaredNorm : 0;
  const ratios = variances.map((value, at) => (value === 0 ? 0 : value / (mean[at] as number) ** 2));
  return {
    squaredNorm,
    variance,
    innerProductVariance,
    orthogonalVariance: Math.max(0, variance - along),
    coordinateRatio: ratios.reduce((most, ratio) => (ratio > most || Number.isNaN(ratio) ? ratio : most), 0),
  };
}

/**
 * Statistics of the gradients of a batch of at least two examples, on the host in float64.
 *
 * @param tensors Rows of each parameter tensor, or of all of them together.
 * @param options.perTensor Inner products and projections tensor by tensor, summed, as the authors' code has them; by
 *   default of all parameters as one vector.
 */
export function gradientStatistics(
  tensors: GradientRows | Readonly<Record<string, GradientRows>>,
  { perTensor = false }: { readonly perTensor?: boolean } = {},
): GradientStatistics {
  const list = isRows(tensors) ? [tensors] : Object.values(tensors);
  if (!perTensor)
    return statisticsOfTensor(
      (list[0] ?? []).map((_, row) => list.flatMap((rows) => Array.from(rows[row] as ArrayLike<number>))),
    );
  const parts = list.map(statisticsOfTensor);
  const sum = (of: (part: GradientStatistics) => number): number => total(parts.map(of));
  return {
    squaredNorm: sum((part) => part.squaredNorm),
    variance: sum((part) => part.variance),
    innerProductVariance: sum((part) => part.innerProductVariance),
    orthogonalVariance: sum((part) => part.orthogonalVariance),
    coordinateRatio: Math.max(...parts.map((part) => part.coordinateRatio)),
  };
}

const isRows = (tensors: GradientRows | Readonly<Record<string, GradientRows>>): tensors is GradientRows =>
  Array.isArray(tensors);
