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
import type { Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';

const sgdOptions = z.object({
  learningRate: scalar({ min: 0 }).default(0.01).describe('Step size η.'),
  momentum: z.number().min(0).max(1).default(0).describe('Decay μ of the velocity; 0 keeps no state.'),
  nesterov: z.boolean().default(false).describe('Look ahead along the velocity (Nesterov 1983).'),
  weightDecay: z.number().min(0).default(0).describe('L2 penalty λ, added to the gradient.'),
});

interface SgdState extends StateSpecs {
  readonly velocity: Readonly<Record<string, StateSpec>>;
}

/**
 * Stochastic gradient descent with momentum (Polyak 1964) as Sutskever et al. 2013 and PyTorch write it:
 * v ← μ·v + g; θ ← θ − η·v, or θ − η·(g + μ·v) with Nesterov.
 */
@plugin({
  name: 'sgd',
  contract: 'update-rule',
  options: sgdOptions,
  summary: 'Stochastic gradient descent, optionally with (Nesterov) momentum.',
  paper: 'Sutskever et al. 2013, On the importance of initialization and momentum in deep learning',
})
export class Sgd implements UpdateRule<SgdState> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof sgdOptions>) {}

  init(context: InitContext): SgdState {
    return { velocity: this.options.momentum === 0 ? {} : context.likeParams() };
  }

  update(context: UpdateContext<SgdState>): Update<SgdState> {
    const { learningRate, momentum, nesterov, weightDecay } = this.options;
    const rate = context.scalar('learningRate', learningRate);
    const velocity: Record<string, Tensor> = {};
    const params = mapValues(context.params, (param, name) => {
      const raw = context.grads[name] as Tensor;
      const gradient = weightDecay === 0 ? raw : raw.add(param.mul(weightDecay));
      const old = context.state.velocity[name];
      if (old === undefined) return param.sub(gradient.mul(rate));
      const next = old.mul(momentum).add(gradient);
      velocity[name] = next;
      return param.sub((nesterov ? gradient.add(next.mul(momentum)) : next).mul(rate));
    });
    return { params, state: { velocity } };
  }
}

export const sgd = pluginFactory(Sgd, sgdOptions);
/** {@link sgd} with momentum 0.9. */
export const momentum = (given: z.input<typeof sgdOptions> = {}): Sgd => sgd({ momentum: 0.9, ...given });
/** {@link sgd} with Nesterov momentum 0.9. */
export const nesterov = (given: z.input<typeof sgdOptions> = {}): Sgd =>
  sgd({ momentum: 0.9, nesterov: true, ...given });
