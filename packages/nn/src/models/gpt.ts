import { defineModel, type Model } from '@updraft/core';
import { gemm, matMul, type Tensor } from '@updraft/graph';
import { normal } from '../initializers.js';
import { layerNorm } from '../layers/normalization.js';
import { transformerBlock } from './classifiers.js';

export interface GptOptions {
  readonly vocabulary: number;
  /** Positions that the model sees. */
  readonly context: number;
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  readonly keyValueHeads?: number;
  /** Rotary positions instead of learned ones. */
  readonly rotary?: boolean;
  /** Use the embedding table as output projection; default: true. */
  readonly tied?: boolean;
  /** Name of the batch column with token ids; default: `tokens`. */
  readonly column?: string;
}

/** Decoder-only transformer (Radford et al. 2019): token ids [batch, context] → logits [batch, context, vocabulary]. */
export const gpt = (options: GptOptions): Model => {
  const { vocabulary, context, width, depth, heads, rotary = false, tied = true, column = 'tokens' } = options;
  return defineModel({
    name: 'gpt',
    inputs: { [column]: { dataType: 'int64', shape: ['batch', context] } },
    build(scope, inputs) {
      const table = scope.child('embedding', (inner) =>
        inner.parameter('weight', [vocabulary, width], { initialize: normal(0.02), role: 'embedding' }),
      );
      let x = table.gather(inputs[column] as Tensor);
      if (!rotary)
        x = x.add(scope.parameter('positions', [context, width], { initialize: normal(0.02), role: 'embedding' }));
      for (let layer = 0; layer < depth; layer++)
        x = transformerBlock({
          heads,
          width,
          causal: true,
          rotary,
          ...(options.keyValueHeads === undefined ? {} : { keyValueHeads: options.keyValueHeads }),
        })(scope, x);
      x = layerNorm({ name: 'norm' })(scope, x);
      const rows = x.reshape([-1, width]);
      const logits = tied
        ? gemm(rows, table, undefined, { transposeB: true })
        : matMul(rows, scope.parameter('head', [width, vocabulary], { initialize: normal(0.02), role: 'weight' }));
      return { logits: logits.reshape([-1, context, vocabulary]) };
    },
  });
};
