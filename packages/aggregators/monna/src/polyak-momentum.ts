import {
  defineOptions,
  jointNorm,
  mapValues,
  OPTIONS,
  plugin,
  pluginFactory,
  scalar,
  type ClientRule,
  type InitContext,
  type NamedValues,
  type StateSpec,
  type StateSpecs,
  type Update,
  type UpdateContext,
} from '@updraft/core';
import { where, type Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';

const polyakMomentumOptions = defineOptions({
  learningRate: scalar({ min: 0 }).default(0.75).describe('Step size γ.'),
  beta: z.number().min(0).lt(1).default(0.99).describe('Decay β of the momentum; 0: plain gradient descent.'),
  penalty: z.number().min(0).default(0).describe('Factor λ of the penalty of the parameters in the loss.'),
  penaltyOf: z
    .enum(['square', 'norm'])
    .default('square')
    .describe('The penalty: λ/2·‖θ‖², or λ·‖θ‖ over all parameters together, as in the official code.'),
});

interface PolyakMomentumState extends StateSpecs {
  /** Momentum m, one tensor per parameter. */
  readonly momentum: Readonly<Record<string, StateSpec>>;
}

/**
 * Polyak's momentum as an average of gradients, the local step of MoNNA (Farhadkhani et al. 2023): m ← β·m + (1 − β)·g;
 * θ ← θ − γ·m. There is no correction of the start, so that m has (1 − βᵗ) of its length after t steps. The average has a
 * smaller variance than a gradient, which is where attackers could hide.
 */
@plugin({
  name: 'polyak-momentum',
  contract: 'update-rule',
  options: polyakMomentumOptions,
  summary: 'Gradient descent along an exponential average of gradients.',
  paper: 'Farhadkhani et al. 2023, Robust Collaborative Learning with Linear Gradient Overhead',
})
export class PolyakMomentum implements ClientRule<PolyakMomentumState> {
  /** A peer keeps its momentum. */
  readonly clientState = 'keep';

  constructor(@inject(OPTIONS) readonly options: z.output<typeof polyakMomentumOptions>) {}

  init(context: InitContext): PolyakMomentumState {
    return { momentum: context.likeParams() };
  }

  update(context: UpdateContext<PolyakMomentumState>): Update<PolyakMomentumState> {
    const { learningRate, beta } = this.options;
    const { params, state } = context;
    const rate = context.scalar('learningRate', learningRate);
    // 1. g = ∇(loss + penalty).
    const gradients = this.#penalised(context);
    // 2. m ← β·m + (1 − β)·g.
    const momentum = mapValues(state.momentum, (m, name) => m.mul(beta).add((gradients[name] as Tensor).mul(1 - beta)));
    // 3. θ ← θ − γ·m.
    return {
      params: mapValues(params, (param, name) => param.sub((momentum[name] as Tensor).mul(rate))),
      state: { momentum },
    };
  }

  #penalised({ params, grads }: UpdateContext<PolyakMomentumState>): NamedValues<Tensor> {
    const { penalty, penaltyOf } = this.options;
    if (penalty === 0) return grads;
    if (penaltyOf === 'square')
      return mapValues(params, (param, name) => (grads[name] as Tensor).add(param.mul(penalty)));
    // The norm has no derivative at 0; 0 is one of its subgradients.
    const norm = jointNorm(params);
    const length = where(norm.greater(0), norm, 1);
    return mapValues(params, (param, name) => (grads[name] as Tensor).add(param.div(length).mul(penalty)));
  }
}

/** Gradient descent along an exponential average of gradients. */
export const polyakMomentum = pluginFactory(PolyakMomentum, polyakMomentumOptions);
