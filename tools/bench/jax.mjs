import { classes, numbers } from './networks.mjs';

/** jax-js on WebAssembly: one jitted function of loss, gradients and AdamW. */
export async function jax(name, network) {
  if (name === 'gpt') throw new Error('its causal attention step has not been written for this benchmark');
  const { init, defaultDevice, grad, jit, numpy: np, nn, lax, tree, blockUntilReady } = await import('@jax-js/jax');
  await init('wasm');
  defaultDevice('wasm');
  const { batch } = network;
  const weight = (shape) =>
    np.array(numbers(shape.reduce((a, b) => a * b, 1)).map((value) => value * 0.05)).reshape(shape);
  const zeros = (shape) => np.zeros(shape);
  const shapes =
    name === 'mlp'
      ? network.sizes.slice(1).flatMap((units, index) => [[network.sizes[index], units], [units]])
      : [[16, 1, 5, 5], [1, 16, 1, 1], [32, 16, 5, 5], [1, 32, 1, 1], [512, 128], [128], [128, 10], [10]];
  const targets = nn.oneHot(np.array(classes(batch, 10)).astype(np.int32), 10);
  const crossEntropy = (logits, y) =>
    nn
      .logSoftmax(logits, -1)
      .mul(y)
      .sum()
      .mul(-1 / batch);
  const forward =
    name === 'mlp'
      ? (params, x) => {
          let h = x;
          for (let index = 0; index < params.length; index += 2) {
            h = np.matmul(h, params[index]).add(params[index + 1]);
            if (index < params.length - 2) h = nn.relu(h);
          }
          return h;
        }
      : (params, x) => {
          const [k1, c1, k2, c2, w1, b1, w2, b2] = params;
          // Pooling as a maximum over axes of the 2×2 blocks.
          const pool = (h, channels, size) => np.max(h.reshape([batch, channels, size / 2, 2, size / 2, 2]), [3, 5]);
          let h = pool(nn.relu(lax.conv(x, k1, [1, 1], 'VALID').add(c1)), 16, 24);
          h = pool(nn.relu(lax.conv(h, k2, [1, 1], 'VALID').add(c2)), 32, 8);
          h = nn.relu(np.matmul(h.reshape([batch, 512]), w1).add(b1));
          return np.matmul(h, w2).add(b2);
        };
  const loss = (params, x, y) => crossEntropy(forward(params, x), y);
  const [rate, beta1, beta2] = [1e-3, 0.9, 0.999];
  const update = jit((params, means, squares, x, y) => {
    const grads = grad(loss)(tree.ref(params), x, y);
    const next = [[], [], []];
    params.forEach((param, index) => {
      const g = grads[index];
      const m = means[index].mul(beta1).add(g.ref.mul(1 - beta1));
      const v = squares[index].mul(beta2).add(g.ref.mul(g).mul(1 - beta2));
      next[0].push(param.mul(1 - rate * 0.01).sub(m.ref.mul(rate).div(np.sqrt(v.ref).add(1e-8))));
      next[1].push(m);
      next[2].push(v);
    });
    return next;
  });
  let state = [
    shapes.map((shape) => (shape.length > 1 && shape[0] !== 1 ? weight(shape) : zeros(shape))),
    shapes.map(zeros),
    shapes.map(zeros),
  ];
  const x = np.array(numbers(batch * 784)).reshape(name === 'mlp' ? [batch, 784] : [batch, 1, 28, 28]);
  return [
    {
      label: 'jax-js (wasm, jit)',
      step: async () => {
        state = await blockUntilReady(update(...state, x.ref, targets.ref));
      },
    },
  ];
}
