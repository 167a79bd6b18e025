import { isWeightTap, layerRows, type NamedValues, type UpdateContext, type UpdateRule } from '@updraft/core';
import { dimEquals, shapeOf, where, type Dim, type Tensor } from '@updraft/graph';
import type { BatchTest } from './size-tests.js';

/** Names under which a step reports the statistics of its batch with its metrics. */
export const METRICS = {
  squaredNorm: 'gradientSquaredNorm',
  variance: 'gradientVariance',
  innerProductVariance: 'innerProductVariance',
  orthogonalVariance: 'orthogonalVariance',
  tensorInnerProductVariance: 'tensorInnerProductVariance',
  tensorOrthogonalVariance: 'tensorOrthogonalVariance',
  coordinateRatio: 'coordinateRatio',
} as const;

/** Phase of the steps that report. */
const STATISTICS = 'statistics';

/** What the tests need of the gradients g_i of one parameter: never more than one number per example or coordinate. */
interface ParameterSums {
  /** ‖g_i‖² [batch]. */
  readonly norms: () => Tensor;
  /** ⟨g_i, ḡ⟩ [batch]. */
  readonly products: (mean: Tensor) => Tensor;
  /** Σ_i g_i², of the shape of the parameter. */
  readonly squares: () => Tensor;
}

const rest = ({ rank }: Tensor): number[] => Array.from({ length: rank - 1 }, (_, at) => at + 1);

/** From gradients of every example [batch, …]. */
const materialised = (gradients: Tensor): ParameterSums => ({
  norms: () => (gradients.rank === 1 ? gradients.square() : gradients.square().sum(rest(gradients))),
  products: (mean) => {
    const products = gradients.mul(mean);
    return products.rank === 1 ? products : products.sum(rest(products));
  },
  squares: () => gradients.square().sum([0]),
});

/**
 * From inputs a_i and output gradients δ_i of the layer alone, where a row of the layer is an example: g_i is a_i·δ_iᵀ of a
 * weight, so that ‖g_i‖² = ‖a_i‖²·‖δ_i‖², and δ_i of a bias. Undefined for other layers.
 */
function factored(context: UpdateContext, name: string, batch: Dim, count: Tensor): ParameterSums | undefined {
  const param = context.params[name] as Tensor;
  const taps = context.tap(name);
  const [tap] = taps;
  if (tap === undefined || taps.length > 1 || tap.output.rank !== 2 || !dimEquals(tap.output.shape[0] as Dim, batch))
    return undefined;
  // Gradients of the mean loss are those of the examples divided by their number.
  const delta = (): Tensor => tap.outputGradient.mul(count.cast(param.dataType));
  if (isWeightTap(tap)) {
    if (tap.operator === 'Conv' || param.rank !== 2) return undefined;
    const { rows, toMatrix, fromMatrix } = layerRows(tap, param);
    return {
      norms: () =>
        rows
          .square()
          .sum([1])
          .mul(delta().square().sum([1])),
      products: (mean) =>
        rows
          .matMul(toMatrix(mean).transpose([1, 0]))
          .mul(delta())
          .sum([1]),
      squares: () => fromMatrix(delta().square().transpose([1, 0]).matMul(rows.square())),
    };
  }
  const isBias =
    ['Gemm', 'Add'].includes(tap.operator) &&
    tap.weight === param &&
    param.rank === 1 &&
    tap.output.shape[1] === param.shape[0];
  return isBias
    ? {
        norms: () => delta().square().sum([1]),
        products: (mean) => delta().mul(mean).sum([1]),
        squares: () => delta().square().sum([0]),
      }
    : undefined;
}

const sum = (terms: readonly Tensor[]): Tensor => terms.reduce((left, right) => left.add(right));
/** 0/0 is 0. */
const over = (value: Tensor, divisor: Tensor): Tensor => where(value.greater(0), value.div(divisor), 0);

/**
 * Report the statistics that a test needs with the metrics of the step. The reward gives the loss of every example, and its
 * loss is their mean. Of dense layers only inputs and output gradients are used; gradients of every example are built for
 * the other parameters.
 */
export function reportStatistics(context: UpdateContext, test: BatchTest): void {
  const { params, grads } = context;
  const names = Object.keys(params);
  const perSample = context.perSampleGrads();
  const batch = (perSample[names[0] as string] as Tensor).shape[0] as Dim;
  const count = shapeOf(perSample[names[0] as string] as Tensor)
    .gather(context.step.graph.constant(0, 'int64'))
    .cast('float64');
  const freedom = count.sub(1);
  const sums: NamedValues<ParameterSums> = Object.fromEntries(
    names.map((name) => [name, factored(context, name, batch, count) ?? materialised(perSample[name] as Tensor)]),
  );
  const each = <T>(of: (part: ParameterSums, mean: Tensor) => T): T[] =>
    names.map((name) => of(sums[name] as ParameterSums, grads[name] as Tensor));
  const report = (name: keyof typeof METRICS, value: Tensor): void => {
    context.metric(METRICS[name], value.cast('float32'));
  };
  const wide = (value: Tensor): Tensor => value.cast('float64');
  /** Sample variance of a number per example. */
  const spread = (values: Tensor): Tensor =>
    values
      .sub(values.mean([0], { keepDims: true }))
      .square()
      .sum()
      .div(freedom);

  const squaredNorms = each((_, mean) => wide(mean).square().sum());
  const squaredNorm = sum(squaredNorms);
  // Σ_j Var_j = (Σ_i‖g_i‖² − b·‖ḡ‖²)/(b − 1).
  const variances = each((part) => wide(part.norms()).sum()).map((total, at) =>
    total
      .sub((squaredNorms[at] as Tensor).mul(count))
      .maximum(0)
      .div(freedom),
  );
  const variance = sum(variances);
  report('squaredNorm', squaredNorm);
  report('variance', variance);
  if (test === 'ip' || test === 'ip+orth') {
    const products = each((part, mean) => wide(part.products(mean)));
    const inner = spread(sum(products));
    const innerOfTensors = products.map(spread);
    report('innerProductVariance', inner);
    report('tensorInnerProductVariance', sum(innerOfTensors));
    if (test === 'ip+orth') {
      // What is along ḡ has the variance Var⟨g_i, ḡ⟩/‖ḡ‖², and the rest is orthogonal to it.
      const orthogonal = (total: Tensor, along: Tensor, norm: Tensor): Tensor =>
        total.sub(over(along, norm)).maximum(0);
      report('orthogonalVariance', orthogonal(variance, inner, squaredNorm));
      report(
        'tensorOrthogonalVariance',
        sum(variances.map((total, at) => orthogonal(total, innerOfTensors[at] as Tensor, squaredNorms[at] as Tensor))),
      );
    }
  }
  if (test === 'coord') {
    const ratios = each((part, mean) => {
      const square = wide(mean).square();
      const variance = wide(part.squares()).sub(square.mul(count)).maximum(0).div(freedom);
      return over(variance, square).max();
    });
    report(
      'coordinateRatio',
      ratios.reduce((left, right) => left.maximum(right)),
    );
  }
}

/**
 * A link of a `chain` that reports statistics for {@link adaptiveBatch} and changes nothing:
 * `chain(batchStatistics('norm'), momentum({ learningRate: 0.1 }))`. It goes first, where gradients are still those of the
 * batch.
 *
 * @param interval Report at steps 1, 1 + interval, …: that of the sampler.
 */
export const batchStatistics = (test: BatchTest = 'norm', interval = 1): UpdateRule => ({
  init: () => ({}),
  phase: (step) => ((step - 1) % interval === 0 ? STATISTICS : 'step'),
  update(context) {
    if (context.phase === STATISTICS) reportStatistics(context, test);
    return {};
  },
});
