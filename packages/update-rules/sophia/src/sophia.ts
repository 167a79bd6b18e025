import {
  defineOptions,
  mapValues,
  OPTIONS,
  plugin,
  pluginFactory,
  scalar,
  type InitContext,
  type NamedValues,
  type StateSpec,
  type StateSpecs,
  type Update,
  type UpdateContext,
  type UpdateRule,
} from '@updraft/core';
import type { Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { gnbDiagonal, hutchinsonDiagonal, limitNorm, wide, type DiagonalEstimator } from './estimators.js';
import { shareBelow } from './win-rate.js';

const common = {
  learningRate: scalar({ above: 0 })
    .default(1e-4)
    .describe('Step size η, which no element exceeds; about that of AdamW, 3 to 5 times that of Lion.'),
  beta1: z.number().min(0).lt(1).default(0.965).describe('Decay β₁ of the momentum.'),
  beta2: z.number().min(0).lt(1).default(0.99).describe('Decay β₂ of the curvature, from refresh to refresh.'),
  k: z.number().int().min(1).default(10).describe('Steps from one refresh of the curvature to the next.'),
  refresh: z
    .enum(['before', 'after'])
    .default('before')
    .describe(
      'Whether the curvature is refreshed before the steps 1, k + 1, … (the paper) or after the steps k, 2k, … at the new parameters (the authors’ script, whose first k steps are therefore signs).',
    ),
  weightDecay: scalar({ min: 0 })
    .default(0.1)
    .describe('Decoupled weight decay λ, multiplied by η; about twice that of AdamW.'),
};

const sophiaGOptions = defineOptions({
  ...common,
  rho: scalar({ min: 0 })
    .default(0.04)
    .describe('Factor ρ of the curvature: larger means fewer clipped elements; 0.01 to 0.1 for language models.'),
  epsilon: z.number().positive().default(1e-15).describe('Added to ρ·B·h.'),
  batchTokens: z
    .number()
    .positive()
    .optional()
    .describe('Number B of predictions that the loss is the mean of (batch · tokens); default: what the reward says.'),
  maximumNorm: z
    .number()
    .positive()
    .optional()
    .describe('Global norm that gradients, and those with drawn targets, are scaled down to first; default: none.'),
});

const sophiaHOptions = defineOptions({
  ...common,
  rho: scalar({ min: 0 }).default(0.01).describe('Factor γ of the curvature: larger means fewer clipped elements.'),
  epsilon: z
    .number()
    .positive()
    .default(1e-12)
    .describe('Least value ε of γ·h: below it, an element takes a step of ±η.'),
  distribution: z
    .enum(['normal', 'rademacher'])
    .default('normal')
    .describe('Distribution of the directions u: standard normal (the paper), or ±1.'),
});

interface SophiaState extends StateSpecs {
  /** Momentum m, one tensor per parameter. */
  readonly momentum: Readonly<Record<string, StateSpec>>;
  /** Average h of the estimates without their factor B, one tensor per parameter, at least float32. */
  readonly hessian: Readonly<Record<string, StateSpec>>;
  /** The factor B of h, where the reward tells it. */
  readonly scale: Readonly<Record<string, StateSpec>>;
}

type Options = Pick<z.output<typeof sophiaGOptions>, keyof typeof common | 'rho'>;

interface Variant {
  readonly estimate: DiagonalEstimator;
  /** Factor B of the curvature that is known beforehand. */
  readonly factor: number | undefined;
  /** Scales gradients down. */
  readonly limit?: number | undefined;
  /** The least |m| that is clipped, of ρ·B·h. */
  readonly bound: (curvature: Tensor) => Tensor;
}

/** Zero-filled state of both variants. */
const initialState = (context: InitContext, factor: number | undefined): SophiaState => ({
  momentum: context.likeParams(),
  hessian: mapValues(context.params, ({ shape, dataType }) =>
    context.state(shape, { dataType: dataType === 'float16' ? 'float32' : dataType }),
  ),
  scale: factor === undefined ? { batchTokens: context.state([]) } : {},
});

/** Whether the curvature is refreshed at a step. */
const phaseOf = ({ k, refresh }: Options, step: number): string =>
  (refresh === 'before' ? step - 1 : step) % k === 0 ? 'refresh' : 'step';

/** One step of Sophia (Liu et al. 2023, algorithm 3), whatever estimates the curvature. */
function sophiaStep(context: UpdateContext<SophiaState>, options: Options, variant: Variant): Update<SophiaState> {
  const { beta1, beta2 } = options;
  const rate = context.scalar('learningRate', options.learningRate);
  const rho = context.scalar('rho', options.rho);
  const shrink = context.scalar('weightDecay', options.weightDecay).mul(rate).neg().add(1);
  const refreshing = context.phase === 'refresh';

  // 1. g = ∇L(θ).
  const grads = limitNorm(context.grads, variant.limit);
  // 2. m ← β₁·m + (1 − β₁)·g; there is no bias correction.
  const momentum = mapValues(grads, (g, name) =>
    (context.state.momentum[name] as Tensor).mul(beta1).add(g.mul(1 - beta1)),
  );

  // 3. h ← β₂·h + (1 − β₂)·ĥ every k steps, with its factor B apart.
  let hessian: NamedValues<Tensor> = context.state.hessian;
  let factor: Tensor | undefined = context.state.scale['batchTokens'];
  const refresh = (at?: NamedValues<Tensor>): void => {
    const estimated = variant.estimate(context, at);
    const next = variant.factor === undefined ? estimated.factor : undefined;
    // Where B moves (a smaller last batch), the old h is put in terms of the new one: B·h is the average of B·ĝ⊙ĝ.
    const terms = factor === undefined || next === undefined ? undefined : factor.div(next);
    hessian = mapValues(hessian, (h, name) => {
      const old = terms === undefined ? h : h.mul(terms.cast(h.dataType));
      return old.mul(beta2).add((estimated.diagonal[name] as Tensor).mul(1 - beta2));
    });
    factor = next;
  };
  if (refreshing && options.refresh === 'before') refresh();

  const scaled = factor === undefined ? rho.mul(variant.factor ?? 1) : rho.mul(factor);
  const sizes: Tensor[] = [];
  const curvatures: Tensor[] = [];
  const params = mapValues(context.params, (param, name) => {
    const m = wide(momentum[name] as Tensor);
    const curvature = (hessian[name] as Tensor).mul(scaled.cast(m.dataType));
    const size = m.abs();
    sizes.push(size);
    curvatures.push(curvature);
    // 5. clip(m / bound, −1, 1), as m / max(|m|, bound): no quotient overflows, and m = 0 stays where it is.
    const direction = m.div(size.maximum(variant.bound(curvature)));
    // 4. θ ← θ − ηλ·θ, and then 5. θ ← θ − η·clip(…).
    return param.mul(shrink.cast(param.dataType)).sub(direction.mul(rate.cast(m.dataType)).cast(param.dataType));
  });
  context.metric('winRate', shareBelow(sizes, curvatures));

  // 3 in the order of the authors' script.
  if (refreshing && options.refresh === 'after') refresh(params);
  return { params, state: { momentum, hessian, scale: factor === undefined ? {} : { batchTokens: factor } } };
}

/**
 * Sophia-G (Liu et al. 2023, Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training): momentum
 * over a diagonal Hessian that is estimated from gradients with drawn targets every k steps, clipped element by element.
 * Elements whose curvature is small take steps of ±η, the others damped Newton steps.
 */
@plugin({
  name: 'sophia-g',
  contract: 'update-rule',
  options: sophiaGOptions,
  summary: 'Clipped momentum over a diagonal Gauss–Newton matrix from drawn targets, refreshed every k steps.',
  paper: 'Liu et al. 2023, Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training',
})
export class SophiaG implements UpdateRule<SophiaState> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof sophiaGOptions>) {}

  init(context: InitContext): SophiaState {
    return initialState(context, this.options.batchTokens);
  }
  phase(step: number): string {
    return phaseOf(this.options, step);
  }
  update(context: UpdateContext<SophiaState>): Update<SophiaState> {
    const { epsilon, batchTokens, maximumNorm } = this.options;
    return sophiaStep(context, this.options, {
      estimate: gnbDiagonal({ maximumNorm }),
      factor: batchTokens,
      limit: maximumNorm,
      bound: (curvature) => curvature.add(epsilon),
    });
  }
}

/**
 * Sophia-H (Liu et al. 2023): as {@link SophiaG}, with the diagonal of the Hessian itself, estimated from Hessian-vector
 * products in random directions. Elements whose curvature is negative take steps of ±η.
 */
@plugin({
  name: 'sophia-h',
  contract: 'update-rule',
  options: sophiaHOptions,
  summary: 'Clipped momentum over a diagonal Hessian from random Hessian-vector products, refreshed every k steps.',
  paper: 'Liu et al. 2023, Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training',
})
export class SophiaH implements UpdateRule<SophiaState> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof sophiaHOptions>) {}

  init(context: InitContext): SophiaState {
    return initialState(context, 1);
  }
  phase(step: number): string {
    return phaseOf(this.options, step);
  }
  update(context: UpdateContext<SophiaState>): Update<SophiaState> {
    const { epsilon, distribution } = this.options;
    return sophiaStep(context, this.options, {
      estimate: hutchinsonDiagonal({ distribution }),
      factor: 1,
      bound: (curvature) => curvature.maximum(epsilon),
    });
  }
}

/** Sophia with the Gauss–Newton–Bartlett estimator. */
export const sophiaG = pluginFactory(SophiaG, sophiaGOptions);
/** Sophia with Hutchinson's estimator. */
export const sophiaH = pluginFactory(SophiaH, sophiaHOptions);
