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

/** Batches that contestants take in turn: on one batch alone a network soon learns it, and gradients become denormal. */
const POOL = 16;

/** Fixed pseudo-random numbers in (-1, 1). */
export function numbers(count, seed = 1) {
  let state = Math.imul(seed, 2654435761) >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}
const classes = (count, limit, seed) =>
  Int32Array.from(numbers(count, seed), (value) => Math.floor(((value + 1) / 2) * limit * 0.999));

/** The same batches for every contestant: inputs (images in ±1, or tokens) and class numbers. */
export function batches(name, { batch, context, vocabulary }) {
  return Array.from({ length: POOL }, (_, index) => {
    const seed = 2 * index + 1;
    return name === 'gpt'
      ? {
          x: classes(batch * context, vocabulary, seed),
          y: classes(batch * context, vocabulary, seed + 1),
        }
      : { x: numbers(batch * 784, seed), y: classes(batch, 10, seed + 1) };
  });
}

/** Element `step` of a list that starts again at its end. */
export const inTurn = (list, step) => list[step % list.length];
