import {
  mapValues,
  OPTIONS,
  plugin,
  pluginFactory,
  scalar,
  type InitContext,
  type StateSpec,
  type StateSpecs,
  type Update,
  type UpdateContext,
  type UpdateRule,
} from '@updraft/core';
import { sqrt, type Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';

const rmspropOptions = z.object({
  learningRate: scalar({ min: 0 }).default(1e-3).describe('Step size η.'),
  decay: z.number().min(0).lt(1).default(0.9).describe('Decay ρ of the mean of squared gradients.'),
  epsilon: z.number().min(0).default(1e-8).describe('ε, added to the root.'),
  centered: z
    .boolean()
    .default(false)
    .describe('Divide by the standard deviation: subtract the squared mean gradient.'),
  momentum: z.number().min(0).lt(1).default(0).describe('Decay of a velocity over the scaled gradients.'),
});

interface RmspropState extends StateSpecs {
  readonly square: Readonly<Record<string, StateSpec>>;
  readonly mean: Readonly<Record<string, StateSpec>>;
  readonly velocity: Readonly<Record<string, StateSpec>>;
}

/** RMSProp (Tieleman and Hinton 2012) as PyTorch writes it: θ ← θ − η·g / (√(ρ·s + (1−ρ)·g²) + ε). */
@plugin({
  name: 'rmsprop',
  contract: 'update-rule',
  options: rmspropOptions,
  summary: 'Gradients divided by the root of their running mean square.',
  paper: 'Tieleman and Hinton 2012, Lecture 6.5, Neural Networks for Machine Learning',
})
export class Rmsprop implements UpdateRule<RmspropState> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof rmspropOptions>) {}

  init(context: InitContext): RmspropState {
    return {
      square: context.likeParams(),
      mean: this.options.centered ? context.likeParams() : {},
      velocity: this.options.momentum > 0 ? context.likeParams() : {},
    };
  }

  update(context: UpdateContext<RmspropState>): Update<RmspropState> {
    const { learningRate, decay, epsilon, centered, momentum } = this.options;
    const rate = context.scalar('learningRate', learningRate);
    const square: Record<string, Tensor> = {};
    const mean: Record<string, Tensor> = {};
    const velocity: Record<string, Tensor> = {};
    const average = (old: Tensor, value: Tensor): Tensor => old.mul(decay).add(value.mul(1 - decay));
    const params = mapValues(context.params, (param, name) => {
      const gradient = context.grads[name] as Tensor;
      const s = average(context.state.square[name] as Tensor, gradient.square());
      square[name] = s;
      let spread = s;
      if (centered) {
        const m = average(context.state.mean[name] as Tensor, gradient);
        mean[name] = m;
        spread = s.sub(m.square());
      }
      let step = gradient.div(sqrt(spread).add(epsilon));
      if (momentum > 0) {
        step = (context.state.velocity[name] as Tensor).mul(momentum).add(step);
        velocity[name] = step;
      }
      return param.sub(step.mul(rate));
    });
    return { params, state: { square, mean, velocity } };
  }
}

export const rmsprop = pluginFactory(Rmsprop, rmspropOptions);
