import { batches, inTurn, numbers } from './networks.mjs';

/**
 * TensorFlow.js on its WebAssembly backend, its own layers and Adam (it has no weight decay). That backend has no gradient
 * of a convolution, so the convolutional network runs on the one in plain JavaScript.
 */
export async function tensorflow(name, network) {
  const tf = await import('@tensorflow/tfjs');
  await import('@tensorflow/tfjs-backend-wasm');
  const backend = name === 'cnn' ? 'cpu' : 'wasm';
  await tf.setBackend(backend);
  await tf.ready();
  const { batch } = network;
  if (name === 'gpt') return [await gpt(tf, network)];
  const model = tf.sequential();
  if (name === 'mlp') {
    network.sizes
      .slice(1, -1)
      .forEach((units, index) =>
        model.add(tf.layers.dense({ units, activation: 'relu', ...(index === 0 ? { inputShape: [784] } : {}) })),
      );
  } else {
    network.channels.forEach((filters, index) => {
      model.add(
        tf.layers.conv2d({
          filters,
          kernelSize: 5,
          activation: 'relu',
          ...(index === 0 ? { inputShape: [28, 28, 1] } : {}),
        }),
      );
      model.add(tf.layers.maxPooling2d({ poolSize: 2 }));
    });
    model.add(tf.layers.flatten());
    model.add(tf.layers.dense({ units: network.hidden, activation: 'relu' }));
  }
  model.add(tf.layers.dense({ units: 10 }));
  const pool = batches(name, network).map(({ x, y }) => ({
    x: tf.tensor(x, name === 'mlp' ? [batch, 784] : [batch, 28, 28, 1]),
    labels: tf.oneHot(tf.tensor1d(y, 'int32'), 10).toFloat(),
  }));
  const optimizer = tf.train.adam(1e-3);
  const step = async (taken) => {
    const { x, labels } = inTurn(pool, taken);
    const loss = optimizer.minimize(
      () => tf.losses.softmaxCrossEntropy(labels, model.apply(x, { training: true })),
      true,
    );
    await loss.data();
    loss.dispose();
  };
  return [{ label: `TensorFlow.js (${backend})`, step }];
}

async function gpt(tf, network) {
  const { batch, context, width, depth, heads, vocabulary } = network;
  const weight = (shape) =>
    tf.variable(
      tf.tensor(
        numbers(shape.reduce((a, b) => a * b, 1)).map((value) => value * 0.03),
        shape,
      ),
    );
  const table = weight([vocabulary, width]);
  const positions = weight([context, width]);
  const layers = Array.from({ length: depth }, () => ({
    g1: tf.variable(tf.ones([width])),
    g2: tf.variable(tf.ones([width])),
    qkv: weight([width, 3 * width]),
    out: weight([width, width]),
    up: weight([width, 4 * width]),
    down: weight([4 * width, width]),
  }));
  // Tokens come one-hot: the gradient of its gather has no kernel on this backend.
  const oneHot = (values) => tf.oneHot(tf.tensor1d(values, 'int32'), vocabulary).toFloat();
  const pool = batches('gpt', network).map(({ x, y }) => ({ tokens: oneHot(x), labels: oneHot(y) }));
  const mask = tf.linalg
    .bandPart(tf.ones([context, context]), -1, 0)
    .sub(1)
    .mul(1e9);
  const size = width / heads;
  const norm = (x, gain) => {
    const { mean, variance } = tf.moments(x, -1, true);
    return x.sub(mean).div(variance.add(1e-5).sqrt()).mul(gain);
  };
  const dense = (x, w) => tf.matMul(x.reshape([-1, w.shape[0]]), w);
  const forward = (tokens) => {
    let x = tf.matMul(tokens, table).reshape([batch, context, width]).add(positions);
    for (const layer of layers) {
      const [q, k, v] = tf.split(
        dense(norm(x, layer.g1), layer.qkv)
          .reshape([batch, context, 3 * heads, size])
          .transpose([0, 2, 1, 3]),
        3,
        1,
      );
      const weights = tf.softmax(tf.matMul(q, k, false, true).div(Math.sqrt(size)).add(mask));
      const mixed = tf
        .matMul(weights, v)
        .transpose([0, 2, 1, 3])
        .reshape([batch * context, width]);
      x = x.add(dense(mixed, layer.out).reshape([batch, context, width]));
      const h = dense(norm(x, layer.g2), layer.up);
      const active = h.mul(h.mul(0.7978845608).add(h.pow(3).mul(0.0356774081)).tanh().add(1)).mul(0.5);
      x = x.add(dense(active, layer.down).reshape([batch, context, width]));
    }
    return tf.matMul(x.reshape([-1, width]), table, false, true);
  };
  const optimizer = tf.train.adam(1e-3);
  return {
    label: 'TensorFlow.js (wasm)',
    step: async (taken) => {
      const { tokens, labels } = inTurn(pool, taken);
      const loss = optimizer.minimize(() => tf.losses.softmaxCrossEntropy(labels, forward(tokens)), true);
      await loss.data();
      loss.dispose();
    },
  };
}
