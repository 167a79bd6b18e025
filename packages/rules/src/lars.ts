import {
  defineOptions,
  jointNorm,
  mapValues,
  OPTIONS,
  plugin,
  pluginFactory,
  scalar,
  type InitContext,
  type ParameterSpec,
  type StateSpec,
  type StateSpecs,
  type Update,
  type UpdateContext,
  type UpdateRule,
} from '@updraft/core';
import { and, where, type Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';

const larsOptions = defineOptions({
  learningRate: scalar({ min: 0 }).default(0.2).describe('Step size.'),
  momentum: z.number().min(0).max(1).default(0.9).describe('Decay of the velocity.'),
  weightDecay: z.number().min(0).default(1e-6).describe('L2 penalty, added to the gradient.'),
  eta: z
    .number()
    .positive()
    .default(1e-3)
    .describe('Trust coefficient η: length of the scaled gradient in lengths of the parameter.'),
  excludeOneD: z
    .boolean()
    .default(true)
    .describe('Parameters with fewer than two axes (biases, gains) take plain momentum, without decay and scaling.'),
});

interface LarsState extends StateSpecs {
  readonly velocity: Readonly<Record<string, StateSpec>>;
}

/**
 * Layer-wise adaptive rate scaling (You et al. 2017, Large Batch Training of Convolutional Networks) in the form of the code
 * of Barlow Twins, without dampening: the gradient of each parameter, decay included, gets η times the length of the parameter
 * before it enters the velocity.
 */
@plugin({
  name: 'lars',
  contract: 'update-rule',
  options: larsOptions,
  summary: 'Momentum with a rate for each layer, in proportion to the length of its weights.',
  paper: 'You et al. 2017, Large Batch Training of Convolutional Networks',
})
export class Lars implements UpdateRule<LarsState> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof larsOptions>) {}

  init(context: InitContext): LarsState {
    return { velocity: context.likeParams() };
  }

  update(context: UpdateContext<LarsState>): Update<LarsState> {
    const { learningRate, momentum, weightDecay, eta, excludeOneD } = this.options;
    const rate = context.scalar('learningRate', learningRate);
    const velocity: Record<string, Tensor> = {};
    const params = mapValues(context.params, (param, name) => {
      let gradient = context.grads[name] as Tensor;
      const { shape } = context.specs[name] as ParameterSpec;
      if (!excludeOneD || shape.length > 1) {
        // g ← g + λθ, then g ← q·g with q = η·‖θ‖ / ‖g‖, or 1 where one of them is 0.
        if (weightDecay > 0) gradient = gradient.add(param.mul(weightDecay));
        const [own, other] = [jointNorm([param]), jointNorm([gradient])];
        const ratio = own.mul(eta).div(where(other.greater(0), other, 1));
        gradient = gradient.mul(where(and(own.greater(0), other.greater(0)), ratio, 1));
      }
      // v ← μ·v + g; θ ← θ − rate·v.
      const next = (context.state.velocity[name] as Tensor).mul(momentum).add(gradient);
      velocity[name] = next;
      return param.sub(next.mul(rate));
    });
    return { params, state: { velocity } };
  }
}

/** Layer-wise adaptive rate scaling (You et al. 2017). */
export const lars = pluginFactory(Lars, larsOptions);
