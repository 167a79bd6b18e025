import { applyNode } from '../apply.js';
import { readElement } from '../data-type.js';
import type { Node } from '../node.js';
import type { OperatorSchema } from '../schema.js';
import { shapeText } from '../shape.js';
import type { Tensor } from '../tensor.js';
import { FLOATS, FLOATS_BUT_BFLOAT16 } from '../type-sets.js';

const DROPOUT: OperatorSchema = {
  type: 'Dropout',
  since: 13,
  inputs: [
    { name: 'data', types: FLOATS },
    { name: 'ratio', types: FLOATS_BUT_BFLOAT16, optional: true },
    { name: 'training_mode', types: ['bool'], optional: true },
  ],
  attributes: { seed: { kind: 'int' } },
  outputs: [1, 2],
  random: true,
  infer(context) {
    const { dataType, shape } = context.input(0);
    for (const index of [1, 2]) {
      const value = context.inputs[index];
      if (value !== undefined && value.rank !== 0)
        context.fail(`input ${index} ${shapeText(value.shape)} must be a scalar`);
    }
    const constant = context.inputs[1]?.constant;
    const ratio = constant === undefined ? 0 : readElement(constant, 0);
    if (!(ratio >= 0 && ratio < 1)) context.fail(`the ratio ${ratio} is outside [0, 1)`);
    return [
      { dataType, shape },
      { dataType: 'bool', shape },
    ];
  },
};

export const dropoutSchemas: readonly OperatorSchema[] = [DROPOUT];

export interface DropoutOptions {
  /** Fraction of elements that become zero, in [0, 1); default: 0.5. */
  readonly ratio?: number | Tensor;
  /** Without training mode (default) values pass unchanged. A tensor switches at run time. */
  readonly trainingMode?: boolean | Tensor;
  /** Seed of the runtime's generator; default: one that the runtime picks. */
  readonly seed?: number;
}

function place(x: Tensor, { ratio, trainingMode, seed }: DropoutOptions, outputs: number): Node {
  const scalar = typeof ratio === 'number' ? x.graph.constant(ratio, 'float32') : ratio;
  const mode = typeof trainingMode === 'boolean' ? x.graph.constant(Number(trainingMode), 'bool') : trainingMode;
  return applyNode(DROPOUT, [x, scalar, mode], { seed }, { outputs });
}

/**
 * In training mode, set elements to zero at random and scale the others by 1 / (1 - ratio) (Srivastava et al. 2014).
 * The runtime draws the mask; programs that must repeat exactly take their masks as inputs instead.
 */
export const dropout = (x: Tensor, options: DropoutOptions = {}): Tensor => place(x, options, 1).output;

/** {@link dropout} with the mask of the kept elements (bool). */
export function dropoutWithMask(x: Tensor, options: DropoutOptions = {}): { output: Tensor; mask: Tensor } {
  const [output, mask] = place(x, options, 2).outputs as readonly [Tensor, Tensor];
  return { output, mask };
}
