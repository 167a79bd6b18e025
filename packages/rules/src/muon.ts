import {
  CoreError,
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
import { matMul, type Tensor } from '@updraft/graph';
import { inject } from 'tsyringe';
import { z } from 'zod';
import { frobeniusNorm } from './norms.js';

const muonOptions = z.object({
  learningRate: scalar({ min: 0 }).default(0.02).describe('Step size η.'),
  momentum: z.number().min(0).lt(1).default(0.95).describe('Decay μ of the momentum.'),
  nesterov: z.boolean().default(true).describe('Look ahead along the momentum.'),
  iterations: z.number().int().min(1).default(5).describe('Newton–Schulz iterations.'),
  epsilon: z.number().positive().default(1e-8).describe('Added to the Frobenius norm.'),
  weightDecay: z.number().min(0).default(0).describe('Decoupled weight decay λ, multiplied by the learning rate.'),
});

interface MuonState extends StateSpecs {
  readonly momentum: Readonly<Record<string, StateSpec>>;
}

/** Coefficients of the quintic iteration (Jordan et al. 2024): steep at 0, so that five iterations suffice. */
const [A, B, C] = [3.4445, -4.775, 2.0315];

/** Approximately the nearest semi-orthogonal matrix: singular values go to about 1, singular vectors stay. */
export function orthogonalize(matrix: Tensor, iterations = 5, epsilon = 1e-8): Tensor {
  const [rows, columns] = matrix.shape as readonly [number, number];
  const tall = rows > columns;
  // The Gram matrix of the shorter side is the cheaper one.
  let x = tall ? matrix.transpose([1, 0]) : matrix;
  x = x.div(frobeniusNorm(x).add(epsilon));
  for (let iteration = 0; iteration < iterations; iteration++) {
    const gram = matMul(x, x.transpose([1, 0]));
    const polynomial = gram.mul(B).add(matMul(gram, gram).mul(C));
    x = x.mul(A).add(matMul(polynomial, x));
  }
  return tall ? x.transpose([1, 0]) : x;
}

/** Rows and columns of a weight as a matrix from inputs to outputs. */
function matrixShape(spec: ParameterSpec): readonly [number, number] {
  const [first, ...rest] = spec.shape;
  return [first as number, rest.reduce((a, b) => a * b, 1)];
}

/**
 * Muon (Jordan et al. 2024): momentum, orthogonalised. For matrices (convolutions as [out, in·kernel]); combine it with
 * AdamW for the other parameters: `partition({ rules: { matrices: muon(), rest: adamw() }, assign: … })`. Updates are
 * scaled by √max(1, outputs / inputs).
 */
@plugin({
  name: 'muon',
  contract: 'update-rule',
  options: muonOptions,
  summary: 'Orthogonalised momentum for matrices.',
  paper: 'Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks',
})
export class Muon implements UpdateRule<MuonState> {
  constructor(@inject(OPTIONS) readonly options: z.output<typeof muonOptions>) {}

  init(context: InitContext): MuonState {
    for (const spec of Object.values(context.params))
      if (spec.shape.length < 2)
        throw new CoreError(
          'update-rule',
          `Muon updates matrices; "${spec.name}" has shape [${spec.shape.join(', ')}].`,
          {
            hint: 'Give vectors and scalars to another rule with partition().',
          },
        );
    return { momentum: context.likeParams() };
  }

  update(context: UpdateContext<MuonState>): Update<MuonState> {
    const { learningRate, momentum: decay, nesterov, iterations, epsilon, weightDecay } = this.options;
    const rate = context.scalar('learningRate', learningRate);
    const momentum: Record<string, Tensor> = {};
    const params = mapValues(context.params, (param, name) => {
      const spec = context.specs[name] as ParameterSpec;
      const gradient = context.grads[name] as Tensor;
      const m = (context.state.momentum[name] as Tensor).mul(decay).add(gradient.mul(1 - decay));
      momentum[name] = m;
      const direction = nesterov ? m.mul(decay).add(gradient.mul(1 - decay)) : m;
      const [rows, columns] = matrixShape(spec);
      const flat = spec.shape.length === 2 ? direction : direction.reshape([rows, columns]);
      const orthogonal = orthogonalize(flat, iterations, epsilon);
      // Dense weights are [in, out], convolutions [out, in, ...].
      const scale = Math.sqrt(Math.max(1, spec.shape.length === 2 ? columns / rows : rows / columns));
      const step = (spec.shape.length === 2 ? orthogonal : orthogonal.reshape(spec.shape)).mul(scale);
      const shrunk = weightDecay > 0 ? param.mul(rate.mul(-weightDecay).add(1)) : param;
      return shrunk.sub(step.mul(rate));
    });
    return { params, state: { momentum } };
  }
}

export const muon = pluginFactory(Muon, muonOptions);
