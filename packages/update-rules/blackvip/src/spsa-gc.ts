import {
  defineOptions,
  mapValues,
  OPTIONS,
  plugin,
  pluginFactory,
  scalar,
  scalarAt,
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

const spsaGcOptions = defineOptions({
  a: scalar({ above: 0 }).default(0.01).describe('Gain a of the steps a_k = a / (k + o)^α.'),
  alpha: z.number().min(0).max(1).default(0.4).describe('Decay α of the steps.'),
  o: z.number().min(0).default(1).describe('Offset o of the steps, against large first ones.'),
  c: scalar({ above: 0 })
    .default(0.01)
    .describe('Size c of the perturbations c_k = c / k^γ; above the resolution of the loss.'),
  gamma: z.number().min(0).max(1).default(0.1).describe('Decay γ of the perturbations.'),
  beta: z.number().min(0).lt(1).default(0.9).describe('Momentum β of the gradient correction; 0 is plain SPSA.'),
  avg: z
    .number()
    .int()
    .min(1)
    .default(5)
    .describe('Directions that an estimate is the mean of; each costs two losses.'),
  distribution: z
    .enum(['segmented-uniform', 'rademacher'])
    .default('segmented-uniform')
    .describe('Elements of a direction: uniform over ±[0.5, 1), or ±1.'),
  form: z
    .enum(['code', 'lookahead'])
    .default('code')
    .describe('The update of the authors’ code, or that of the paper, which looks ahead along the momentum.'),
});

interface SpsaState extends StateSpecs {
  readonly momentum: Readonly<Record<string, StateSpec>>;
}

/**
 * SPSA with gradient correction (Oh et al. 2023, BlackVIP, section 4.2): a gradient estimated from losses alone, two for
 * each random direction (Spall 1992), in an accelerated update after Nesterov. No backward pass is built.
 */
@plugin({
  name: 'spsa-gc',
  contract: 'update-rule',
  options: spsaGcOptions,
  summary: 'Zeroth order: two losses along random directions, and Nesterov momentum. For black boxes.',
  paper: 'Oh et al. 2023, BlackVIP: Black-Box Visual Prompting for Robust Transfer Learning',
})
export class SpsaGc implements UpdateRule<SpsaState> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof spsaGcOptions>) {}

  init(context: InitContext): SpsaState {
    return { momentum: context.likeParams() };
  }

  update(context: UpdateContext<SpsaState>): Update<SpsaState> {
    const { a, alpha, o, c, gamma, beta, avg, distribution, form } = this.options;
    const { params } = context;
    const old = (name: string): Tensor => context.state.momentum[name] as Tensor;
    // 4. a_k = a / (k + o)^α and c_k = c / k^γ, k = 1, 2, …
    const gain = context.scalar('a', (k) => scalarAt(a, k) / (k + o) ** alpha);
    const size = context.scalar('c', (k) => scalarAt(c, k) / k ** gamma);
    // 5. Δ, one row for each direction.
    const deltas = mapValues(params, (param, name) =>
      context.noise(`Delta/${name}`, [avg, ...param.shape], distribution).cast(param.dataType),
    );
    const point = form === 'code' ? params : mapValues(params, (param, name) => param.add(old(name).mul(beta)));
    const { g, loss } = estimate(context, point, deltas, size, avg);
    context.metric('perturbedLoss', loss);

    // 6. Gradient correction.
    const momentum: Record<string, Tensor> = {};
    const next = mapValues(params, (param, name) => {
      const step = gain.cast(param.dataType);
      const gradient = g[name] as Tensor;
      if (form === 'code') {
        const m = old(name).mul(beta).add(gradient);
        momentum[name] = m;
        return param.sub(gradient.add(m.mul(beta)).mul(step));
      }
      const m = old(name).mul(beta).sub(gradient.mul(step));
      momentum[name] = m;
      return param.add(m);
    });
    return { params: next, state: { momentum } };
  }
}

/**
 * 5. g = mean over directions of (L(φ + c_kΔ) − L(φ − c_kΔ)) / (2c_k) ⊘ Δ, all losses of one batch, and their mean.
 */
function estimate(
  context: UpdateContext<SpsaState>,
  point: NamedValues<Tensor>,
  deltas: NamedValues<Tensor>,
  size: Tensor,
  avg: number,
): { readonly g: NamedValues<Tensor>; readonly loss: Tensor } {
  const directions = Array.from({ length: avg }, (_, j) => {
    const delta = mapValues(deltas, (all) => all.slice([j], [j + 1], [0]).squeeze([0]));
    const offset = mapValues(delta, (value) => value.mul(size.cast(value.dataType)));
    const above = context.loss(mapValues(point, (value, name) => value.add(offset[name] as Tensor)));
    const below = context.loss(mapValues(point, (value, name) => value.sub(offset[name] as Tensor)));
    const slope = above.sub(below).div(size.mul(2).cast(above.dataType));
    return { loss: above.add(below), terms: mapValues(delta, (value) => slope.cast(value.dataType).div(value)) };
  });
  const total = (values: readonly Tensor[]): Tensor => values.reduce((sum, value) => sum.add(value));
  return {
    g: mapValues(point, (_, name) => total(directions.map(({ terms }) => terms[name] as Tensor)).div(avg)),
    loss: total(directions.map(({ loss }) => loss)).div(2 * avg),
  };
}

/** SPSA with gradient correction (Oh et al. 2023). */
export const spsaGc = pluginFactory(SpsaGc, spsaGcOptions);
/** Plain SPSA (Spall 1992): {@link spsaGc} with β = 0. */
export const spsa = (options: Omit<z.input<typeof spsaGcOptions>, 'beta' | 'form'> = {}): SpsaGc =>
  spsaGc({ ...options, beta: 0 });
