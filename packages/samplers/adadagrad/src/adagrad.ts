import {
  defineOptions,
  mapValues,
  OPTIONS,
  plugin,
  pluginFactory,
  scalar,
  type InitContext,
  type ParameterSpec,
  type StateSpec,
  type Update,
  type UpdateContext,
  type UpdateRule,
} from '@updraft/core';
import { where, type Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { reportStatistics } from './batch-statistics.js';

const statisticsOptions = {
  statistics: z
    .enum(['none', 'norm', 'ip', 'ip+orth', 'coord'])
    .default('none')
    .describe('Test of adaptiveBatch() for which the step reports statistics of its gradients.'),
};
const learningRate = scalar({ above: 0 }).default(0.01).describe('Step size α.');
const adaGradOptions = defineOptions({
  learningRate,
  epsilon: z.number().min(0).default(1e-10).describe('Added to the root of the accumulator.'),
  initialAccumulator: z.number().min(0).default(0).describe('First value S₀ of every accumulator.'),
  ...statisticsOptions,
});
const adaGradNormOptions = defineOptions({
  learningRate,
  granularity: z
    .enum(['scalar', 'row'])
    .default('scalar')
    .describe(
      'One accumulator of all parameters, as in theory, or one per row of every matrix and kernel, as in the code.',
    ),
  epsilon: z.number().min(0).default(1e-10).describe('Added to the roots of rows; the scalar form has none.'),
  initialAccumulator: z.number().min(0).default(0.01).describe('First value: v₀, or S₀ of every row.'),
  outputAxis: z
    .enum(['first', 'last'])
    .default('first')
    .describe(
      'Axis of matrices that counts their rows: the first, as PyTorch has outputs, or the last, as dense() has them. Kernels: the first.',
    ),
  ...statisticsOptions,
});
type Statistics = Pick<z.output<typeof adaGradOptions>, 'statistics'>;

function report(context: UpdateContext, { statistics }: Statistics): void {
  if (statistics !== 'none') reportStatistics(context, statistics);
}

type Accumulators = { readonly sum: Readonly<Record<string, StateSpec>> };

/** AdaGrad (Duchi et al. 2011): S ← S + ḡ⊙ḡ; θ ← θ − α·ḡ/(√S + ε). */
@plugin({
  name: 'adagrad',
  contract: 'update-rule',
  options: adaGradOptions,
  summary: 'AdaGrad, with statistics for adaptive batch sizes.',
  paper: 'Duchi et al. 2011, Adaptive Subgradient Methods; Lau, Liu and Kolar 2024, AdAdaGrad',
})
export class AdaGrad implements UpdateRule<Accumulators> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof adaGradOptions>) {}

  init(context: InitContext): Accumulators {
    return { sum: context.likeParams(this.options.initialAccumulator) };
  }
  update(context: UpdateContext<Accumulators>): Update<Accumulators> {
    report(context as unknown as UpdateContext, this.options);
    const rate = context.scalar('learningRate', this.options.learningRate);
    const sum = mapValues(context.params, (_, name) =>
      (context.state.sum[name] as Tensor).add((context.grads[name] as Tensor).square()),
    );
    const params = mapValues(context.params, (param, name) => {
      const root = (sum[name] as Tensor).sqrt().add(this.options.epsilon);
      // With ε = 0 a coordinate that never had a gradient stays, instead of 0/0.
      const step = where(root.greater(0), (context.grads[name] as Tensor).div(root), 0);
      return param.sub(step.mul(rate.cast(param.dataType)));
    });
    return { params, state: { sum } };
  }
}

/** Axis of a parameter along which rows are counted; undefined for those that are taken element by element. */
const rowAxis = (
  { shape: { length } }: Pick<ParameterSpec, 'shape'>,
  outputAxis: 'first' | 'last',
): number | undefined => (length === 2 && outputAxis === 'last' ? 1 : length === 2 || length === 4 ? 0 : undefined);

/**
 * AdaGrad-Norm (Ward et al. 2019): v ← v + ‖ḡ‖²; θ ← θ − α·ḡ/√v, one number v for all parameters. With `granularity: 'row'`
 * as in the authors' code: S ← S + ‖row of ḡ‖² for each row of matrices and kernels; an element of a vector adds its own
 * square and what the row of the same position in the tensor before it added (its layer's); θ ← θ − α·ḡ/(√S + ε).
 */
@plugin({
  name: 'adagrad-norm',
  contract: 'update-rule',
  options: adaGradNormOptions,
  summary: 'AdaGrad with one accumulator, or one per row; with statistics for adaptive batch sizes.',
  paper: 'Ward, Wu and Bottou 2019, AdaGrad stepsizes; Lau, Liu and Kolar 2024, AdAdaGrad',
})
export class AdaGradNorm implements UpdateRule<Accumulators> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof adaGradNormOptions>) {}

  init({ params, state, like }: InitContext): Accumulators {
    const { initialAccumulator: initial, granularity, outputAxis } = this.options;
    if (granularity === 'scalar') return { sum: { all: state([], { initial }) } };
    return {
      sum: mapValues(params, (spec) => {
        const axis = rowAxis(spec, outputAxis);
        if (axis === undefined) return like(spec, initial);
        return state(
          spec.shape.map((size, at) => (at === axis ? size : 1)),
          { initial, dataType: spec.dataType },
        );
      }),
    };
  }
  update(context: UpdateContext<Accumulators>): Update<Accumulators> {
    report(context as unknown as UpdateContext, this.options);
    const rate = context.scalar('learningRate', this.options.learningRate);
    const sum = this.options.granularity === 'scalar' ? this.#scalar(context) : this.#rows(context);
    const params = mapValues(context.params, (param, name) => {
      const root =
        this.options.granularity === 'scalar'
          ? (sum['all'] as Tensor).sqrt().cast(param.dataType)
          : (sum[name] as Tensor).sqrt().add(this.options.epsilon);
      const step = where(root.greater(0), (context.grads[name] as Tensor).div(root), 0);
      return param.sub(step.mul(rate.cast(param.dataType)));
    });
    return { params, state: { sum } };
  }

  #scalar({ grads, state }: UpdateContext<Accumulators>): Record<string, Tensor> {
    const squares = Object.values(grads).map((grad) => grad.square().sum().cast('float32'));
    return { all: squares.reduce((total, square) => total.add(square), state.sum['all'] as Tensor) };
  }

  #rows({ grads, state, specs }: UpdateContext<Accumulators>): Record<string, Tensor> {
    let before: Tensor | undefined;
    return mapValues(grads, (grad, name) => {
      const axis = rowAxis(specs[name] as ParameterSpec, this.options.outputAxis);
      const kept = state.sum[name] as Tensor;
      if (axis !== undefined) {
        const axes = grad.shape.flatMap((_, at) => (at === axis ? [] : [at]));
        const squares = grad.square().sum(axes, { keepDims: true });
        before = squares.reshape([-1]);
        return kept.add(squares);
      }
      const own = kept.add(grad.square());
      const rows = grad.rank === 1 ? ofRows(before, grad.shape[0] as number) : undefined;
      return rows === undefined ? own : own.add(rows);
    });
  }
}

/** What rows add to a vector after them: to its n elements the means of n equal groups; nothing where they do not divide. */
function ofRows(rows: Tensor | undefined, size: number): Tensor | undefined {
  const count = rows?.shape[0] as number | undefined;
  return count === undefined || count % size !== 0 ? undefined : rows?.reshape([size, count / size]).mean([1]);
}

/** AdaGrad (Duchi et al. 2011). */
export const adaGrad = pluginFactory(AdaGrad, adaGradOptions);
/** AdaGrad-Norm (Ward et al. 2019), with one accumulator or one per row. */
export const adaGradNorm = pluginFactory(AdaGradNorm, adaGradNormOptions);
