import {
  defineOptions,
  mapValues,
  OPTIONS,
  plugin,
  pluginFactory,
  pluginOption,
  scalar,
  type ClientRule,
  type HostContext,
  type InitContext,
  type ParameterSpec,
  type StateSpec,
  type StateSpecs,
  type Update,
  type UpdateContext,
  type UpdateRule,
} from '@updraft/core';
import { adam, partition } from '@updraft/rules';
import type { Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { matrixUpdate } from './matrix-update.js';

const auonOptions = defineOptions({
  learningRate: scalar({ above: 0 })
    .default(0.055)
    .describe(
      'Step size η: with `normalize` the Frobenius norm of a step, up to the brake. The code has 0.24 and 0.08.',
    ),
  momentum: z.number().min(0).lt(1).default(0.95).describe('Decay μ of the momentum.'),
  gamma: z
    .number()
    .min(0)
    .optional()
    .describe('Factor γ in the brake; default: 1 with `normalize` (the paper), 1.5 without (the code). 0 releases it.'),
  normalize: z
    .boolean()
    .default(true)
    .describe(
      'Whether steps are normalised, as the paper says; otherwise only the brake sees a normalised matrix (the code).',
    ),
  weightDecay: scalar({ min: 0 }).default(0).describe('Decoupled weight decay λ of the matrices, multiplied by η.'),
  decayMultiplier: z
    .union([
      z.custom<(spec: ParameterSpec) => number>(
        (value) => typeof value === 'function',
        'expected a function of a spec',
      ),
      z.record(z.string(), z.number().min(0)),
    ])
    .default({})
    .describe('Factors of the decay of single matrices by name; default: 1.'),
  matricesOnly: z
    .boolean()
    .default(true)
    .describe(
      'Leave parameters with fewer than two axes to `fallback`; otherwise they are treated alike, without Newton–Schulz.',
    ),
  fallback: pluginOption('update-rule')
    .optional()
    .describe('Rule for vectors and scalars; default: Adam with rate 0.008, β 0.8 and 0.95, ε 1e-10.'),
});
const hybridAuonOptions = auonOptions.extend({
  nsSteps: z
    .number()
    .int()
    .min(0)
    .max(5)
    .default(1)
    .describe('Newton–Schulz iterations before the brake: 1 in the paper, 5 in the code.'),
});

type Options = z.output<typeof auonOptions> & { readonly nsSteps?: number };

interface MomentumState extends StateSpecs {
  /** Momentum M, one tensor per parameter. */
  readonly momentum: Readonly<Record<string, StateSpec>>;
}

/** The rule of the matrices. */
class MatrixRule implements UpdateRule<MomentumState> {
  constructor(readonly options: Options) {}

  init(context: InitContext): MomentumState {
    return { momentum: context.likeParams() };
  }

  update(context: UpdateContext<MomentumState>): Update<MomentumState> {
    const { learningRate, momentum: mu, normalize, weightDecay, decayMultiplier, nsSteps } = this.options;
    const gamma = this.options.gamma ?? (normalize ? 1 : 1.5);
    const rate = context.scalar('learningRate', learningRate);
    const decay = context.scalar('weightDecay', weightDecay).mul(rate);
    const multiplier = (spec: ParameterSpec): number =>
      typeof decayMultiplier === 'function' ? decayMultiplier(spec) : (decayMultiplier[spec.name] ?? 1);
    const momentum: Record<string, Tensor> = {};

    const params = mapValues(context.params, (W, name) => {
      const G = context.grads[name] as Tensor;
      // 1. W ← (1 − ηλ)·W.
      const kept = decay.mul(-multiplier(context.specs[name] as ParameterSpec)).add(1);
      const decayed = weightDecay === 0 ? W : W.mul(kept.cast(W.dataType));
      // 2. M ← μ·M + (1 − μ)·G, then U = (1 − μ)·G + μ·M of the new M.
      const M = (context.state.momentum[name] as Tensor).mul(mu).add(G.mul(1 - mu));
      momentum[name] = M;
      const U = G.mul(1 - mu).add(M.mul(mu));
      // 3 to 6, in float32 at least.
      const update = matrixUpdate(W.dataType === 'float16' ? U.cast('float32') : U, { gamma, normalize, nsSteps });
      return decayed.sub(update.mul(rate.cast(update.dataType)).cast(W.dataType));
    });
    return { params, state: { momentum } };
  }
}

/** The authors' settings for what is no matrix. */
const authorsAdam = (): UpdateRule => adam({ learningRate: 0.008, beta1: 0.8, beta2: 0.95, epsilon: 1e-10 });

/** Matrices by one rule, everything else by another. */
const composed = (options: Options): ClientRule =>
  partition({
    rules: { matrices: new MatrixRule(options), others: options.fallback ?? authorsAdam() },
    assign: ({ shape }) => (shape.length >= 2 || !options.matricesOnly ? 'matrices' : 'others'),
  });

/** What both plugins share: they are a partition. */
abstract class PartitionedRule implements UpdateRule {
  readonly #rule: ClientRule;
  readonly #phases: boolean;

  constructor(readonly options: Options) {
    this.#rule = composed(options);
    this.#phases = options.fallback?.phase !== undefined;
  }
  init(context: InitContext): StateSpecs {
    return this.#rule.init(context);
  }
  update(context: UpdateContext): Update {
    return this.#rule.update(context);
  }
  phase(step: number): string {
    return this.#phases ? (this.#rule.phase?.(step) ?? 'step') : 'step';
  }
  needsHost(step: number): boolean {
    return this.#rule.needsHost?.(step) === true;
  }
  async host(context: HostContext): Promise<void> {
    await this.#rule.host?.(context);
  }
}

/**
 * AuON (Maity 2025, AuON: A Linear-time Alternative to Semi-Orthogonal Momentum Updates): the momentum of a matrix, divided by
 * its Frobenius norm and by the root mean square of the hyperbolic cosines of its elements. Directions stay; the length of a
 * step is between η/cosh γ and η whatever the gradients are, at a cost linear in the number of elements.
 */
@plugin({
  name: 'auon',
  contract: 'update-rule',
  options: auonOptions,
  summary: 'Norm-normalised momentum for matrices with a brake for spiky ones.',
  paper: 'Maity 2025, AuON: A Linear-time Alternative to Semi-Orthogonal Momentum Updates',
})
export class Auon extends PartitionedRule {
  constructor(@inject(OPTIONS) options: z.output<typeof auonOptions>) {
    super(options);
  }
}

/** Hybrid-AuON (Maity 2025): a Newton–Schulz iteration, as in Muon but fewer, and then the brake. */
@plugin({
  name: 'hybrid-auon',
  contract: 'update-rule',
  options: hybridAuonOptions,
  summary: 'A Newton–Schulz iteration of the momentum of matrices, with a brake for spiky ones.',
  paper: 'Maity 2025, AuON: A Linear-time Alternative to Semi-Orthogonal Momentum Updates',
})
export class HybridAuon extends PartitionedRule {
  constructor(@inject(OPTIONS) options: z.output<typeof hybridAuonOptions>) {
    super(options);
  }
}

/** AuON for matrices, another rule for the rest. */
export const auon = pluginFactory(Auon, auonOptions);
/** Hybrid-AuON for matrices, another rule for the rest. */
export const hybridAuon = pluginFactory(HybridAuon, hybridAuonOptions);
