import {
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
import { sqrt, type Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';

const adamOptions = z.object({
  learningRate: scalar({ min: 0 }).default(1e-3).describe('Step size η.'),
  beta1: z.number().min(0).lt(1).default(0.9).describe('Decay β₁ of the mean of gradients.'),
  beta2: z.number().min(0).lt(1).default(0.999).describe('Decay β₂ of the mean of squared gradients.'),
  epsilon: z.number().min(0).default(1e-8).describe('ε, added to the root of the second moment.'),
});
const adamwOptions = adamOptions.extend({
  weightDecay: z.number().min(0).default(0.01).describe('Decoupled weight decay λ, multiplied by the learning rate.'),
  decay: z
    .custom<(spec: ParameterSpec) => boolean>(
      (value) => typeof value === 'function',
      'expected a function of a parameter spec',
    )
    .default(() => () => true)
    .describe('Which parameters decay; default: all.'),
});

interface AdamState extends StateSpecs {
  /** First moment m. */
  readonly mean: Readonly<Record<string, StateSpec>>;
  /** Second moment v. */
  readonly variance: Readonly<Record<string, StateSpec>>;
}

/**
 * One step of Adam (Kingma and Ba 2015, algorithm 1) for all parameters; `decayed` gives the factor 1 − ηλ that a
 * parameter shrinks by first. The two bias corrections go into scalars, so that each element costs one root and one
 * division: θ ← θ − η·√(1−β₂ᵗ)/(1−β₁ᵗ) · m / (√v + ε·√(1−β₂ᵗ)), equal to the published form.
 */
function adamStep(
  context: UpdateContext<AdamState>,
  { learningRate, beta1, beta2, epsilon }: z.output<typeof adamOptions>,
  decayed: (param: Tensor, name: string) => Tensor,
): Update<AdamState> {
  const rate = context.scalar('learningRate', learningRate);
  const correction1 = context.scalar('adam/correction1', (step) => 1 - beta1 ** step);
  const root2 = context.scalar('adam/root2', (step) => Math.sqrt(1 - beta2 ** step));
  const stepSize = rate.mul(root2.div(correction1));
  const floor = root2.mul(epsilon);
  const mean: Record<string, Tensor> = {};
  const variance: Record<string, Tensor> = {};
  const params = mapValues(context.params, (param, name) => {
    const gradient = context.grads[name] as Tensor;
    const m = (context.state.mean[name] as Tensor).mul(beta1).add(gradient.mul(1 - beta1));
    const v = (context.state.variance[name] as Tensor).mul(beta2).add(gradient.mul(gradient).mul(1 - beta2));
    mean[name] = m;
    variance[name] = v;
    return decayed(param, name).sub(m.mul(stepSize).div(sqrt(v).add(floor)));
  });
  return { params, state: { mean, variance } };
}

const adamState = (context: InitContext): AdamState => ({ mean: context.likeParams(), variance: context.likeParams() });

/** Adam (Kingma and Ba 2015). */
@plugin({
  name: 'adam',
  contract: 'update-rule',
  options: adamOptions,
  summary: 'Adaptive moment estimation.',
  paper: 'Kingma and Ba 2015, Adam: A Method for Stochastic Optimization',
})
export class Adam implements UpdateRule<AdamState> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof adamOptions>) {}
  init(context: InitContext): AdamState {
    return adamState(context);
  }
  update(context: UpdateContext<AdamState>): Update<AdamState> {
    return adamStep(context, this.options, (param) => param);
  }
}

/** Adam with decoupled weight decay (Loshchilov and Hutter 2019): θ shrinks by the factor 1 − ηλ first. */
@plugin({
  name: 'adamw',
  contract: 'update-rule',
  options: adamwOptions,
  summary: 'Adam with decoupled weight decay.',
  paper: 'Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization',
})
export class AdamW implements UpdateRule<AdamState> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof adamwOptions>) {}
  init(context: InitContext): AdamState {
    return adamState(context);
  }
  update(context: UpdateContext<AdamState>): Update<AdamState> {
    const { weightDecay, decay, learningRate } = this.options;
    const rate = context.scalar('learningRate', learningRate);
    const shrink = rate.mul(-weightDecay).add(1);
    return adamStep(context, this.options, (param, name) =>
      weightDecay !== 0 && decay(context.specs[name] as ParameterSpec) ? param.mul(shrink) : param,
    );
  }
}

export const adam = pluginFactory(Adam, adamOptions);
export const adamw = pluginFactory(AdamW, adamwOptions);
