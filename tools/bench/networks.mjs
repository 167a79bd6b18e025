/** The networks of the benchmark; batch, sizes and rule are the same for all contestants. */
export const NETWORKS = {
  mlp: { description: 'perceptron 784-512-512-10, batch 128, AdamW', batch: 128, sizes: [784, 512, 512, 10] },
  cnn: {
    description: 'convolutions 16 and 32 (5×5), max pooling, dense 128, on 28×28, batch 64, AdamW',
    batch: 64,
    channels: [16, 32],
    hidden: 128,
  },
  gpt: {
    description: 'GPT of 4 layers, width 128, 4 heads, context 128, 256 tokens, batch 16, AdamW',
    batch: 16,
    context: 128,
    width: 128,
    depth: 4,
    heads: 4,
    vocabulary: 256,
  },
};

/** Fixed pseudo-random numbers in (-1, 1). */
export function numbers(count, seed = 1) {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
export const classes = (count, limit) =>
  Int32Array.from(numbers(count, 7), (value) => Math.floor(((value + 1) / 2) * limit * 0.999));
