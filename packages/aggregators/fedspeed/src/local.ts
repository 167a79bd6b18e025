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
  type RoundChange,
  type RoundContext,
  type StateSpec,
  type StateSpecs,
  type Update,
  type UpdateContext,
} from '@updraft/core';
import type { Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { uploadName } from './upload.js';

const localOptions = defineOptions({
  learningRate: scalar({ min: 0 }).default(0.1).describe('Local step size η.'),
  learningRateDecay: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('Factor of the step size from round to round; 0.998 in the official code.'),
  lambda: z
    .number()
    .min(0)
    .default(0.1)
    .describe(
      'Strength λ of the proximal term, the inverse of that of the paper. 0: none; then h has no use, and the server is a mean.',
    ),
  rho: z.number().min(0).default(0.1).describe('Radius ρ of the ascent step; 0: none.'),
  alpha: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe('Share α of the gradient from uphill, the rest being that at the model; the official code has 1.'),
  adaptive: z.boolean().default(false).describe('Scale the ascent by the squares of the parameters, as ASAM does.'),
  weightDecay: z.number().min(0).default(1e-3).describe('L2 penalty, outside of the perturbation and of the limit.'),
  clipNorm: z.number().gt(0).default(10).describe('Largest joint norm of what clipScope says.'),
  clipScope: z
    .enum(['partial', 'whole'])
    .default('partial')
    .describe('What is limited: g + λ·(h − w), as in the official code, or the whole direction of the step.'),
  correction: z.boolean().default(true).describe('Ablation: without it h stays 0, which leaves FedProx and FedSAM.'),
  relaxedInitialization: z
    .boolean()
    .default(false)
    .describe('Start a round beyond the received model, away from where the client ended the last time.'),
  beta: z.number().gt(0).max(1).default(0.1).describe('How far beyond, β, with relaxedInitialization.'),
});

type Tensors = Readonly<Record<string, StateSpec>>;

interface LocalState extends StateSpecs {
  /** Where the round began: w, the centre of the proximal term. */
  readonly anchor: Tensors;
  /** h, kept for as long as the client lives. */
  readonly correction: Tensors;
  /** Where the client ended its last round, with relaxed initialisation. */
  readonly last: Tensors;
  /** Factor of the step size in this round. */
  readonly rateFactor: StateSpec;
}

/** Official code: keeps the division defined where the gradient is 0, and the perturbation 0. */
const EPSILON = 1e-7;

const combined = (
  left: NamedValues<Tensor>,
  right: NamedValues<Tensor>,
  by: (left: Tensor, right: Tensor) => Tensor,
): Record<string, Tensor> => mapValues(left, (value, name) => by(value, right[name] as Tensor));

/** All values times min(1, limit / joint norm). */
function limited(values: NamedValues<Tensor>, limit: number): Record<string, Tensor> {
  const factor = jointNorm(values).maximum(limit).reciprocal().mul(limit);
  return mapValues(values, (value) => value.mul(factor));
}

/**
 * The client of FedSpeed (Sun et al. 2023): a proximal term that keeps it near the received model w, a correction h that
 * cancels the bias of that term where training settles, and gradients from uphill, so that many local steps do not
 * over-fit. For `federate`, beside {@link fedSpeedServer}. Inside `chain` and the like say `clientState: 'keep'` there.
 */
@plugin({
  name: 'fedspeed',
  contract: 'update-rule',
  options: localOptions,
  summary: 'Client of FedSpeed: proximal term, its correction, and gradients from uphill.',
  paper:
    'Sun et al. 2023, FedSpeed: Larger Local Interval, Less Communication Round, and Higher Generalization Accuracy',
})
export class FedSpeedLocal implements ClientRule<LocalState> {
  /** h belongs to the client. */
  readonly clientState = 'keep';

  constructor(@inject(OPTIONS) readonly options: z.output<typeof localOptions>) {}

  init(context: InitContext): LocalState {
    const copies = (): Tensors => mapValues(context.params, (spec) => context.copyOf(spec));
    return {
      anchor: copies(),
      correction: context.likeParams(),
      // Before its first round the last model of a client is the initial one.
      last: this.options.relaxedInitialization ? copies() : {},
      rateFactor: context.state([], { initial: 1 }),
    };
  }

  /** 1. Start at x = w, or with relaxed initialisation at w + β·(w − x of the last round), which then stands for w. */
  roundStart(context: RoundContext<LocalState>): RoundChange<LocalState> {
    const { relaxedInitialization, beta, learningRateDecay } = this.options;
    const { params, state } = context;
    const start = relaxedInitialization
      ? combined(params, state.last, (w, last) => w.add(w.sub(last).mul(beta)))
      : params;
    // 4. η ← η · decay once per round, whether the client took part or not.
    const rateFactor = context.scalar('learningRateDecay', (round: number) => learningRateDecay ** (round - 1));
    return { params: start, state: { ...state, anchor: start, rateFactor } };
  }

  update(context: UpdateContext<LocalState>): Update<LocalState> {
    const { learningRate, lambda, weightDecay, clipNorm, clipScope } = this.options;
    const { params: x, state } = context;
    const rate = context.scalar('learningRate', learningRate).mul(state.rateFactor);
    // 1a–d. The gradient at x, mixed with that from uphill.
    const g = this.#quasiGradient(context);
    // 1e. G = g + λ·(h − w), limited to a joint norm.
    const pull = combined(state.correction, state.anchor, (h, w) => h.sub(w).mul(lambda));
    const G = combined(g, pull, (left, right) => left.add(right));
    const limitedG = clipScope === 'partial' ? limited(G, clipNorm) : G;
    // 1f. x ← x − η·(G + (wd + λ)·x).
    const direction = combined(limitedG, x, (left, right) => left.add(right.mul(weightDecay + lambda)));
    const limitedDirection = clipScope === 'whole' ? limited(direction, clipNorm) : direction;
    return { params: combined(x, limitedDirection, (left, right) => left.sub(right.mul(rate))) };
  }

  #quasiGradient(context: UpdateContext<LocalState>): NamedValues<Tensor> {
    const { rho, alpha, adaptive } = this.options;
    const { params: x, grads } = context;
    if (rho === 0 || alpha === 0) return grads;
    // 1b. e = ρ·g₁ / (‖g₁‖ + ε); adaptive: e = ρ·x²·g₁ / (‖|x|·g₁‖ + ε).
    const scaled = adaptive ? combined(x, grads, (value, g1) => value.mul(g1)) : grads;
    const ascent = adaptive ? combined(x, scaled, (value, xg1) => value.mul(xg1)) : grads;
    const length = jointNorm(scaled).add(EPSILON);
    const uphill = combined(x, ascent, (value, e) => value.add(e.mul(length.reciprocal().mul(rho))));
    // 1c. g₂ = ∇F(x + e) on the same batch.
    const g2 = context.gradsAt(uphill);
    // 1d. g = (1 − α)·g₁ + α·g₂.
    return alpha === 1 ? g2 : combined(grads, g2, (left, right) => left.mul(1 - alpha).add(right.mul(alpha)));
  }

  /** 2. u = x − w; h ← h + u. Sends x itself, and u and h beside it. */
  roundEnd({ params, state }: RoundContext<LocalState>): RoundChange<LocalState> {
    const displacement = combined(params, state.anchor, (x, w) => x.sub(w));
    const correction = this.options.correction
      ? combined(state.correction, displacement, (h, u) => h.add(u))
      : state.correction;
    const upload: Record<string, Tensor> = {};
    for (const name of Object.keys(params)) {
      upload[uploadName('displacement', name)] = displacement[name] as Tensor;
      upload[uploadName('correction', name)] = correction[name] as Tensor;
    }
    return {
      state: { ...state, correction, last: this.options.relaxedInitialization ? params : {} },
      upload,
    };
  }
}

/** The client of FedSpeed. */
export const fedSpeedLocal = pluginFactory(FedSpeedLocal, localOptions);
