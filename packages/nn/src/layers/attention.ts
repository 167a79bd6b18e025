import type { Initializer, Layer } from '@updraft/core';
import { concat, matMul, softmax, split, UpdraftError, type Graph, type Tensor } from '@updraft/graph';
import { glorotUniform, type Fans } from '../initializers.js';
import { dense, staticSize } from './dense.js';
import { dropout } from './dropout.js';

export interface AttentionOptions {
  readonly heads: number;
  /** Heads of keys and values, shared by groups of query heads; default: `heads`. */
  readonly keyValueHeads?: number;
  /** Position i sees positions up to i only. Default: false. */
  readonly causal?: boolean;
  /** Rotate queries and keys by position (Su et al. 2021); base of the frequencies, or true for 10,000. */
  readonly rotary?: boolean | number;
  readonly bias?: boolean;
  readonly dropout?: number;
  readonly initialize?: (fans: Fans) => Initializer;
  /** Initialiser of the output projection; default: `initialize`. */
  readonly initializeOutput?: (fans: Fans) => Initializer;
  readonly name?: string;
}

/** 0 where a position may look, a large negative number where it may not: [length, length]. */
function causalMask(graph: Graph, length: number): Tensor {
  const data = new Float32Array(length * length);
  for (let row = 0; row < length; row++) data.fill(-1e9, row * length + row + 1, (row + 1) * length);
  return graph.constant({ dataType: 'float32', dims: [length, length], data }, 'float32', 'causal_mask');
}

/** Rotate pairs (x_i, x_{i + d/2}) of the last axis by angle position · base^(-2i/d); x is [batch, heads, length, d]. */
export function rotaryEmbedding(x: Tensor, base = 10_000): Tensor {
  const width = staticSize(x, -1, 'rotaryEmbedding()');
  const length = staticSize(x, -2, 'rotaryEmbedding()');
  const half = width / 2;
  const angles = Float64Array.from(
    { length: length * half },
    (_, index) => Math.floor(index / half) * base ** (-(index % half) / half),
  );
  const table = (f: (angle: number) => number): Tensor =>
    x.graph.constant({ dataType: 'float32', dims: [length, half], data: Float32Array.from(angles, f) });
  const [cosine, sine] = [table(Math.cos), table(Math.sin)];
  const low = x.slice([0], [half], [-1]);
  const high = x.slice([half], [width], [-1]);
  return concat([low.mul(cosine).sub(high.mul(sine)), high.mul(cosine).add(low.mul(sine))], -1);
}

/** Multi-head self-attention over [batch, length, width] (Vaswani et al. 2017). */
export const attention =
  (options: AttentionOptions): Layer =>
  (scope, x) =>
    scope.child(options.name ?? 'attention', (inner) => {
      const { heads, keyValueHeads = heads, bias = true, initialize = glorotUniform } = options;
      const width = staticSize(x, -1, 'attention()');
      const length = staticSize(x, -2, 'attention()');
      if (width % heads !== 0 || heads % keyValueHeads !== 0)
        throw new UpdraftError(
          'module',
          `attention(): width ${width}, heads ${heads} and keyValueHeads ${keyValueHeads} do not divide.`,
          {
            hint: 'heads must divide the width, keyValueHeads must divide heads.',
          },
        );
      const size = width / heads;
      const narrow = keyValueHeads * size;
      // One product for queries, keys and values: three small ones would waste the cores.
      const joined = dense({ units: width + 2 * narrow, bias, initialize, name: 'qkv' })(inner, x);
      const parts = split(joined, [width, narrow, narrow], -1);
      const intoHeads = (part: Tensor, count: number): Tensor =>
        part.reshape([-1, length, count, size]).transpose([0, 2, 1, 3]);
      let query = intoHeads(parts[0] as Tensor, heads);
      let key = intoHeads(parts[1] as Tensor, keyValueHeads);
      let value = intoHeads(parts[2] as Tensor, keyValueHeads);
      if (options.rotary !== undefined && options.rotary !== false) {
        const base = options.rotary === true ? 10_000 : options.rotary;
        query = rotaryEmbedding(query, base);
        key = rotaryEmbedding(key, base);
      }
      if (keyValueHeads !== heads) {
        // Each key-value head serves a group of neighbouring query heads.
        const repeat = (shared: Tensor): Tensor =>
          shared
            .unsqueeze([2])
            .expand([1, 1, heads / keyValueHeads, 1, 1])
            .reshape([-1, heads, length, size]);
        key = repeat(key);
        value = repeat(value);
      }
      let scores = matMul(query.mul(1 / Math.sqrt(size)), key.transpose([0, 1, 3, 2]));
      if (options.causal === true) scores = scores.add(causalMask(x.graph, length));
      const weights = dropout(options.dropout ?? 0)(inner, softmax(scores, -1));
      const mixed = matMul(weights, value).transpose([0, 2, 1, 3]).reshape([-1, length, width]);
      return dense({ units: width, bias, initialize: options.initializeOutput ?? initialize, name: 'output' })(
        inner,
        mixed,
      );
    });
