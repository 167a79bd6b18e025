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
import { rsqrt, sqrt, type Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';

const adafactorOptions = z.object({
  learningRate: scalar({ min: 0 }).default(1e-2).describe('Step size η.'),
  decayRate: z.number().min(0).default(0.8).describe('Second moments decay with 1 − t^(−decayRate).'),
  clippingThreshold: z
    .number()
    .positive()
    .nullable()
    .default(1)
    .describe('Updates with a larger root mean square are scaled down to it.'),
  epsilon: z.number().min(0).default(1e-30).describe('Added to squared gradients.'),
  scaleByParameter: z.boolean().default(true).describe('Multiply by the root mean square of the parameter.'),
  minimumScale: z.number().min(0).default(1e-3).describe('Smallest such root mean square.'),
  minimumFactoredSize: z
    .number()
    .int()
    .min(1)
    .default(128)
    .describe('Factor the second moment when the two largest axes are at least this long.'),
  weightDecay: z.number().min(0).default(0).describe('Fraction of the parameter subtracted every step.'),
});

interface AdafactorState extends StateSpecs {
  readonly rows: Readonly<Record<string, StateSpec>>;
  readonly columns: Readonly<Record<string, StateSpec>>;
  readonly variance: Readonly<Record<string, StateSpec>>;
}

/** The axes along which the second moment is factored: the second largest and the largest; undefined for small tensors. */
export function factoredAxes(shape: readonly number[], minimum: number): readonly [number, number] | undefined {
  if (shape.length < 2) return undefined;
  const order = shape.map((_, axis) => axis).sort((a, b) => (shape[a] as number) - (shape[b] as number) || a - b);
  const [second, largest] = order.slice(-2) as [number, number];
  return (shape[second] as number) < minimum ? undefined : [second, largest];
}

const rootMeanSquare = (x: Tensor): Tensor => sqrt(x.square().mean());

/** Adafactor (Shazeer and Stern 2018), with second moments of large matrices kept as row and column means. */
@plugin({
  name: 'adafactor',
  contract: 'update-rule',
  options: adafactorOptions,
  summary: 'Adaptive learning rates with sublinear memory.',
  paper: 'Shazeer and Stern 2018, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost',
})
export class Adafactor implements UpdateRule<AdafactorState> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof adafactorOptions>) {}

  #axes(spec: ParameterSpec): readonly [number, number] | undefined {
    return factoredAxes(spec.shape, this.options.minimumFactoredSize);
  }

  init(context: InitContext): AdafactorState {
    const rows: Record<string, StateSpec> = {};
    const columns: Record<string, StateSpec> = {};
    const variance: Record<string, StateSpec> = {};
    for (const [name, spec] of Object.entries(context.params)) {
      const axes = this.#axes(spec);
      if (axes === undefined) variance[name] = context.like(spec);
      else {
        const [second, largest] = axes;
        rows[name] = context.state(spec.shape.filter((_, axis) => axis !== largest));
        columns[name] = context.state(spec.shape.filter((_, axis) => axis !== second));
      }
    }
    return { rows, columns, variance };
  }

  update(context: UpdateContext<AdafactorState>): Update<AdafactorState> {
    const { learningRate, decayRate, clippingThreshold, epsilon, scaleByParameter, minimumScale, weightDecay } =
      this.options;
    const rate = context.scalar('learningRate', learningRate);
    const decay = context.scalar('adafactor/decay', (step) => 1 - step ** -decayRate);
    const fresh = context.scalar('adafactor/fresh', (step) => step ** -decayRate);
    const average = (old: Tensor, value: Tensor): Tensor => old.mul(decay).add(value.mul(fresh));
    const rows: Record<string, Tensor> = {};
    const columns: Record<string, Tensor> = {};
    const variance: Record<string, Tensor> = {};

    const normalized = (gradient: Tensor, name: string): Tensor => {
      const squared = gradient.square().add(epsilon);
      const axes = this.#axes(context.specs[name] as ParameterSpec);
      if (axes === undefined) {
        const v = average(context.state.variance[name] as Tensor, squared);
        variance[name] = v;
        return gradient.mul(rsqrt(v));
      }
      const [second, largest] = axes;
      const r = average(context.state.rows[name] as Tensor, squared.mean([largest]));
      const c = average(context.state.columns[name] as Tensor, squared.mean([second]));
      rows[name] = r;
      columns[name] = c;
      const reduced = second > largest ? second - 1 : second;
      const rowFactor = rsqrt(r.div(r.mean([reduced], { keepDims: true })));
      return gradient.mul(rowFactor.unsqueeze([largest])).mul(rsqrt(c).unsqueeze([second]));
    };

    const params = mapValues(context.params, (param, name) => {
      let step = normalized(context.grads[name] as Tensor, name);
      if (clippingThreshold !== null) step = step.div(rootMeanSquare(step).div(clippingThreshold).maximum(1));
      step = step.mul(rate);
      if (scaleByParameter) step = step.mul(rootMeanSquare(param).maximum(minimumScale));
      if (weightDecay > 0) step = step.add(param.mul(weightDecay));
      return param.sub(step);
    });
    return { params, state: { rows, columns, variance } };
  }
}

export const adafactor = pluginFactory(Adafactor, adafactorOptions);
