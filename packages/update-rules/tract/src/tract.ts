import {
  CoreError,
  defineOptions,
  instantiatePlugin,
  inversePositiveDefinite,
  isWeightTap,
  layerRows,
  OPTIONS,
  plugin,
  pluginOption,
  scalar,
  type ClientRule,
  type HostContext,
  type InitContext,
  type LayerRows,
  type StateSpecs,
  type Update,
  type UpdateContext,
  type UpdateRule,
} from '@updraft/core';
import { concat, matMul, sizeOf, type Tensor } from '@updraft/graph';
import { DerivedContext, sgd } from '@updraft/rules';
import { inject } from 'tsyringe';
import { z } from 'zod';

const solveOptions = {
  form: z
    .enum(['auto', 'primal', 'dual'])
    .default('auto')
    .describe(
      'Which of two equal forms is solved: n×n (primal) or b×b (dual), for n inputs and b rows; auto takes the smaller, and primal where b is not known when the program is built.',
    ),
  iterations: z
    .number()
    .int()
    .min(1)
    .max(22)
    .default(20)
    .describe('Newton–Schulz iterations of the inverse; fewer are faster where the inputs are little correlated.'),
};
const tractOptions = defineOptions({
  inner: pluginOption('update-rule')
    .default(() => sgd())
    .describe('The optimiser that gets the changed gradient; any rule.'),
  lambda: scalar({ above: 0 })
    .default(0.1)
    .describe('Ridge λ, relative to inputs of mean 0 and deviation 1; 0.05 to 0.2 are useful.'),
  layer: z
    .string()
    .optional()
    .describe('The layer, or its weight, by name; default: the first one with a matrix product or a convolution.'),
  ...solveOptions,
});
type Options = z.output<typeof tractOptions>;
type SolveOptions = Partial<Pick<Options, 'form' | 'iterations'>>;

/**
 * The gradient of a weight that a step along the gradient of its pre-activations amounts to, G·(XᵀX/b + λI)⁻¹.
 *
 * @param gradient Ordinary gradient G = ∇zᵀX, [m, n].
 * @param inputs Rows X that the weight was multiplied with, [b, n].
 * @param lambda Ridge λ > 0, a scalar.
 */
export function preconditioned(
  gradient: Tensor,
  inputs: Tensor,
  lambda: Tensor | number,
  { form = 'auto', iterations = 20 }: SolveOptions = {},
): Tensor {
  const [b, n] = inputs.shape;
  const rows = sizeOf(inputs, [0]);
  const inputsT = inputs.transpose([1, 0]);
  const inverseOf = (gram: Tensor): Tensor => inversePositiveDefinite(gram.div(rows), { ridge: lambda, iterations });
  const covered = (g: Tensor): Tensor => matMul(matMul(g, inputsT), inputs).div(rows).add(g.mul(lambda));
  let solve: (g: Tensor) => Tensor;
  if (form === 'dual' || (form === 'auto' && typeof b === 'number' && typeof n === 'number' && b < n)) {
    // 4. Through K = XXᵀ/b, b×b: (XᵀX/b + λI)⁻¹ = (I − Xᵀ(K + λI)⁻¹X/b) / λ.
    const inverse = inverseOf(matMul(inputs, inputsT));
    solve = (g) => g.sub(matMul(matMul(matMul(g, inputsT), inverse), inputs).div(rows)).div(lambda);
  } else {
    // 2. ΔW ∝ ∇zᵀX (XᵀX/b + λI)⁻¹, n×n.
    const inverse = inverseOf(matMul(inputsT, inputs));
    solve = (g) => matMul(g, inverse);
  }
  // Once more for what is left, since the difference in the dual form and an iteration that is cut short lose digits.
  const first = solve(gradient);
  return first.add(solve(gradient.sub(covered(first))));
}

/**
 * {@link preconditioned} from what the layer sees.
 *
 * @param inputs X, [b, n].
 * @param outputGradient ∇z of the batch mean loss, [b, m].
 * @returns The plain gradient G and TrAct's, [m, n].
 */
export function tractGradient(
  inputs: Tensor,
  outputGradient: Tensor,
  { lambda = 0.1, ...options }: SolveOptions & { readonly lambda?: Tensor | number } = {},
): { readonly plain: Tensor; readonly gradient: Tensor } {
  const plain = matMul(outputGradient.transpose([1, 0]), inputs);
  return { plain, gradient: preconditioned(plain, inputs, lambda, options) };
}

/** The layer whose weight is treated. */
export interface FirstLayer extends LayerRows {
  /** Name of the weight. */
  readonly weight: string;
}

/**
 * Finds the layer in the forward pass of a step.
 *
 * @param layer Its name, or that of its weight; default: the first parameter that is the weight of a matrix product or a
 *   convolution.
 * @throws CoreError where there is no such layer.
 */
export const firstLayerTap =
  (layer?: string): ((context: Pick<UpdateContext, 'params' | 'tap'>) => FirstLayer) =>
  (context) => {
    const names = Object.keys(context.params).filter(
      (name) => layer === undefined || name === layer || name.startsWith(`${layer}.`),
    );
    for (const weight of names) {
      const layers = context
        .tap(weight)
        .filter(isWeightTap)
        .map((tap) => layerRows(tap, context.params[weight] as Tensor));
      const [first, ...others] = layers;
      // A layer that is used several times fits one change to all that it saw.
      if (first !== undefined)
        return {
          ...first,
          weight,
          rows:
            others.length === 0
              ? first.rows
              : concat(
                  layers.map(({ rows }) => rows),
                  0,
                ),
        };
    }
    throw new CoreError(
      'update-rule',
      layer === undefined
        ? 'TrAct finds no layer: no parameter is the weight of a matrix product or a convolution.'
        : `TrAct finds no layer "${layer}" with a matrix product or a convolution.`,
      { hint: `Parameters are: ${Object.keys(context.params).join(', ')}.` },
    );
  };

/**
 * TrAct (Petersen, Borgelt and Ermon 2024, TrAct: Making First-layer Pre-Activations Trainable): the gradient of the first
 * layer's weight is replaced by that of the weights which, in the sense of a ridge regression, take the pre-activations one
 * step along their own gradient. How far a weight moves no longer depends on how bright or contrasted its inputs are. The
 * forward pass, the bias, the other layers and the optimiser stay what they are; its state is that of the optimiser.
 */
@plugin({
  name: 'tract',
  contract: 'update-rule',
  options: tractOptions,
  summary: 'Trains the pre-activations of the first layer: its gradient times the inverse covariance of the inputs.',
  paper: 'Petersen, Borgelt and Ermon 2024, TrAct: Making First-layer Pre-Activations Trainable',
})
export class Tract implements ClientRule {
  readonly #inner: ClientRule;
  readonly phase?: (step: number) => string;
  readonly roundStart?: NonNullable<ClientRule['roundStart']>;
  readonly roundEnd?: NonNullable<ClientRule['roundEnd']>;

  constructor(@inject(OPTIONS) readonly options: Options) {
    const inner: ClientRule = options.inner;
    this.#inner = inner;
    if (inner.phase !== undefined) this.phase = (step) => inner.phase?.(step) ?? 'step';
    if (inner.roundStart !== undefined) this.roundStart = (context) => inner.roundStart?.(context) ?? {};
    if (inner.roundEnd !== undefined) this.roundEnd = (context) => inner.roundEnd?.(context) ?? {};
  }

  init(context: InitContext): StateSpecs {
    return this.#inner.init(context);
  }

  update(context: UpdateContext): Update {
    const { layer, lambda, form, iterations } = this.options;
    const first = firstLayerTap(layer)(context);
    const ridge = context.scalar('lambda', lambda);
    const changed = (): Tensor => {
      const raw = context.grads[first.weight] as Tensor;
      // The solve is done in float32 at least.
      const work = raw.dataType === 'float16' ? 'float32' : raw.dataType;
      const gradient = first.toMatrix(raw).cast(work);
      const solved = preconditioned(gradient, first.rows.cast(work), ridge.cast(work), { form, iterations });
      return first.fromMatrix(solved.cast(raw.dataType));
    };
    // 3. Any optimiser takes it; 5. the bias and all else keep their gradients.
    return this.#inner.update(
      new DerivedContext(context, {
        state: context.state,
        proposed: context.proposed,
        grads: () => ({ ...context.grads, [first.weight]: changed() }),
      }),
    );
  }

  needsHost(step: number): boolean {
    return this.#inner.needsHost?.(step) === true;
  }
  async host(context: HostContext): Promise<void> {
    await this.#inner.host?.(context);
  }
}

/**
 * TrAct around an optimiser: `tract(sgd({ learningRate: 0.03, momentum: 0.9 }), { layer: 'dense' })`.
 *
 * @throws OptionsError
 */
export const tract = (inner: UpdateRule, options: Omit<z.input<typeof tractOptions>, 'inner'> = {}): Tract =>
  instantiatePlugin(Tract, { ...options, inner });
