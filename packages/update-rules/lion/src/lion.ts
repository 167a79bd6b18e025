import {
  chosenParameters,
  defineOptions,
  mapValues,
  OPTIONS,
  parameterChoice,
  plugin,
  pluginFactory,
  scalar,
  type InitContext,
  type Update,
  type UpdateContext,
  type UpdateRule,
} from '@updraft/core';
import type { Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { momentumDtype, momentumState, readMomentum, type MomentumState } from './momentum.js';

const lionOptions = defineOptions({
  learningRate: scalar({ above: 0 }).default(1e-4).describe('Step size η; 3 to 10 times smaller than for AdamW.'),
  beta1: z.number().min(0).lt(1).default(0.9).describe('Share β₁ of the momentum in the direction of the step.'),
  beta2: z.number().min(0).lt(1).default(0.99).describe('Decay β₂ of the momentum itself.'),
  weightDecay: scalar({ min: 0 })
    .default(0)
    .describe('Decoupled weight decay λ, multiplied by η; 3 to 10 times larger than for AdamW.'),
  decayMask: parameterChoice().optional().describe('Which parameters decay; default: all.'),
  momentumDtype,
  tied: z
    .boolean()
    .default(false)
    .describe('Ablation: β₁ serves as β₂ too, so that the step is the sign of the new momentum.'),
});
const signMomentumOptions = lionOptions.omit({ beta1: true, beta2: true, tied: true }).extend({
  beta: z.number().min(0).lt(1).default(0.9).describe('Decay β of the momentum; 0 gives signSGD.'),
});

/**
 * Lion, evolved sign momentum (Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, algorithm 2): the step is
 * the sign of an interpolation between momentum and gradient, so that every element moves by exactly ±η; the momentum is
 * tracked at a rate of its own. There is no bias correction, which a sign would not feel, and no ε.
 */
@plugin({
  name: 'lion',
  contract: 'update-rule',
  options: lionOptions,
  summary: 'Sign of an interpolated momentum: half the state of Adam, steps of one size.',
  paper: 'Chen et al. 2023, Symbolic Discovery of Optimization Algorithms',
})
export class Lion implements UpdateRule<MomentumState> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof lionOptions>) {}

  init(context: InitContext): MomentumState {
    return { momentum: momentumState(context, this.options.momentumDtype) };
  }

  update(context: UpdateContext<MomentumState>): Update<MomentumState> {
    const { learningRate, beta1, weightDecay, decayMask, momentumDtype, tied } = this.options;
    const beta2 = tied ? beta1 : this.options.beta2;
    const rate = context.scalar('learningRate', learningRate);
    const shrink = context.scalar('weightDecay', weightDecay).mul(rate).neg().add(1);
    const decaying = weightDecay === 0 ? new Set() : chosenParameters(decayMask, context.specs);
    const momentum: Record<string, Tensor> = {};

    const params = mapValues(context.params, (param, name) => {
      const { m, work, keep } = readMomentum(context.state.momentum[name] as Tensor, param, momentumDtype);
      // 1. g = ∇L(θ).
      const g = (context.grads[name] as Tensor).cast(work);
      // 2. θ ← (1 − ηλ)·θ.
      const decayed = decaying.has(name) ? param.mul(shrink.cast(param.dataType)) : param;
      // 3. c = β₁·m + (1 − β₁)·g, of the old momentum.
      const c = m.mul(beta1).add(g.mul(1 - beta1));
      // 4. u = sign(c), and 0 at 0: rows of an embedding that no example uses stay where they are.
      const u = c.sign().cast(param.dataType);
      // 6. m ← β₂·m + (1 − β₂)·g, of the gradient itself.
      momentum[name] = keep(m.mul(beta2).add(g.mul(1 - beta2)));
      // 5. θ ← θ − η·u.
      return decayed.sub(u.mul(rate.cast(param.dataType)));
    });
    return { params, state: { momentum } };
  }
}

/**
 * Sign momentum, the ablation of the paper: m ← β·m + (1 − β)·g; θ ← (1 − ηλ)·θ − η·sign(m). It is Lion with β₁ = β₂ = β,
 * and signSGD (Bernstein et al. 2018) with β = 0.
 */
@plugin({
  name: 'sign-momentum',
  contract: 'update-rule',
  options: signMomentumOptions,
  summary: 'Sign of the momentum; with beta 0 of the gradient (signSGD).',
  paper: 'Chen et al. 2023, Symbolic Discovery of Optimization Algorithms',
})
export class SignMomentum implements UpdateRule<MomentumState> {
  readonly #lion: Lion;

  constructor(@inject(OPTIONS) { beta, ...options }: z.output<typeof signMomentumOptions>) {
    this.#lion = new Lion({ ...options, beta1: beta, beta2: beta, tied: true });
  }
  init(context: InitContext): MomentumState {
    return this.#lion.init(context);
  }
  update(context: UpdateContext<MomentumState>): Update<MomentumState> {
    return this.#lion.update(context);
  }
}

/** Lion (Chen et al. 2023). */
export const lion = pluginFactory(Lion, lionOptions);
/** Sign momentum: Lion with one rate. */
export const signMomentum = pluginFactory(SignMomentum, signMomentumOptions);
