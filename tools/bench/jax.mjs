import { batches, inTurn, numbers } from './networks.mjs';

/** jax-js on WebAssembly: one jitted function of loss, gradients and AdamW. */
export async function jax(name, network) {
  const { init, defaultDevice, grad, jit, numpy: np, nn, lax, tree, blockUntilReady } = await import('@jax-js/jax');
  await init('wasm');
  defaultDevice('wasm');
  const { batch } = network;
  const weight = (shape) =>
    np.array(numbers(shape.reduce((a, b) => a * b, 1)).map((value) => value * 0.05)).reshape(shape);
  const zeros = (shape) => np.zeros(shape);
  const { shapes, forward, input, classCount } = architecture(name, network, { np, nn, lax });
  const crossEntropy = (logits, y) => {
    const rows = logits.reshape([-1, classCount]);
    return nn
      .logSoftmax(rows, -1)
      .mul(y)
      .sum()
      .mul(-1 / rows.shape[0]);
  };
  const loss = (params, x, y) => crossEntropy(forward(params, x), y);
  const [rate, beta1, beta2] = [1e-3, 0.9, 0.999];
  const update = jit((params, means, squares, correction1, root2, x, y) => {
    const grads = grad(loss)(tree.ref(params), x, y);
    const next = [[], [], []];
    params.forEach((param, index) => {
      const g = grads[index];
      const m = means[index].mul(beta1).add(g.ref.mul(1 - beta1));
      const v = squares[index].mul(beta2).add(g.ref.mul(g).mul(1 - beta2));
      const size = root2.ref.div(correction1.ref).mul(rate);
      next[0].push(param.mul(1 - rate * 0.01).sub(m.ref.mul(size).div(np.sqrt(v.ref).add(root2.ref.mul(1e-8)))));
      next[1].push(m);
      next[2].push(v);
    });
    correction1.dispose();
    root2.dispose();
    return next;
  });
  const isGain = (shape) => shape.length === 1 && shape.gain === true;
  let state = [
    shapes.map((shape) =>
      isGain(shape) ? np.ones(shape) : shape.length > 1 && shape[0] !== 1 ? weight(shape) : zeros(shape),
    ),
    shapes.map((shape) => zeros(shape)),
    shapes.map((shape) => zeros(shape)),
  ];
  const pool = batches(name, network).map(({ x, y }) => ({
    x: name === 'gpt' ? nn.oneHot(np.array(x).astype(np.int32), network.vocabulary) : np.array(x).reshape(input),
    y: nn.oneHot(np.array(y).astype(np.int32), classCount),
  }));
  return [
    {
      label: 'jax-js (wasm, jit)',
      step: async (taken) => {
        const { x, y } = inTurn(pool, taken);
        const step = taken + 1;
        state = await blockUntilReady(
          update(...state, np.array(1 - beta1 ** step), np.array(Math.sqrt(1 - beta2 ** step)), x.ref, y.ref),
        );
      },
    },
  ];
}

/** Shapes of the parameters and the forward pass of a network. */
function architecture(name, network, { np, nn, lax }) {
  const { batch } = network;
  if (name === 'mlp')
    return {
      classCount: 10,
      input: [batch, 784],
      shapes: network.sizes.slice(1).flatMap((units, index) => [[network.sizes[index], units], [units]]),
      forward: (params, x) => {
        let h = x;
        for (let index = 0; index < params.length; index += 2) {
          h = np.matmul(h, params[index]).add(params[index + 1]);
          if (index < params.length - 2) h = nn.relu(h);
        }
        return h;
      },
    };
  if (name === 'cnn') {
    // Pooling as a maximum over axes of the 2×2 blocks.
    const pool = (h, channels, size) => np.max(h.reshape([batch, channels, size / 2, 2, size / 2, 2]), [3, 5]);
    return {
      classCount: 10,
      input: [batch, 1, 28, 28],
      shapes: [[16, 1, 5, 5], [1, 16, 1, 1], [32, 16, 5, 5], [1, 32, 1, 1], [512, 128], [128], [128, 10], [10]],
      forward: ([k1, c1, k2, c2, w1, b1, w2, b2], x) => {
        let h = pool(nn.relu(lax.conv(x, k1, [1, 1], 'VALID').add(c1)), 16, 24);
        h = pool(nn.relu(lax.conv(h, k2, [1, 1], 'VALID').add(c2)), 32, 8);
        h = nn.relu(np.matmul(h.reshape([batch, 512]), w1).add(b1));
        return np.matmul(h, w2).add(b2);
      },
    };
  }
  const { context, width, depth, heads, vocabulary } = network;
  const gain = () => Object.assign([width], { gain: true });
  const norm = (x, g, b) => nn.standardize(x, -1).mul(g).add(b);
  const mask = np.triu(np.full([context, context], -1e9), 1);
  return {
    classCount: vocabulary,
    input: undefined,
    shapes: [
      [vocabulary, width],
      [context, width],
      ...Array.from({ length: depth }, () => [
        gain(),
        [width],
        [width, 3 * width],
        [3 * width],
        [width, width],
        [width],
        gain(),
        [width],
        [width, 4 * width],
        [4 * width],
        [4 * width, width],
        [width],
      ]).flat(),
      gain(),
      [width],
    ],
    // Tokens come one-hot: its gather has no gradient that runs faster.
    forward: ([table, positions, ...rest], x) => {
      let h = np.matmul(x, table.ref).reshape([batch, context, width]).add(positions);
      for (let layer = 0; layer < depth; layer++) {
        const [g1, n1, qkv, c1, out, c2, g2, n2, up, c3, down, c4] = rest.slice(12 * layer, 12 * layer + 12);
        const joined = np.matmul(norm(h.ref, g1, n1), qkv).add(c1);
        // Its own attention is written with an einsum that needs Node 22.
        const [q, k, v] = np
          .split(joined, 3, -1)
          .map((part) => part.reshape([batch, context, heads, width / heads]).transpose([0, 2, 1, 3]));
        const scores = np.matmul(q.mul(1 / Math.sqrt(width / heads)), np.matrixTranspose(k)).add(mask.ref);
        const mixed = np.matmul(nn.softmax(scores, -1), v).transpose([0, 2, 1, 3]).reshape([batch, context, width]);
        h = h.add(np.matmul(mixed, out).add(c2));
        h = h.ref.add(np.matmul(nn.gelu(np.matmul(norm(h, g2, n2), up).add(c3), { approximate: false }), down).add(c4));
      }
      const [g, b] = rest.slice(12 * depth);
      return np.matmul(norm(h, g, b), np.matrixTranspose(table));
    },
  };
}
