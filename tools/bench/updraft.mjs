import { createBackend } from '@updraft/backend';
import { encodeModel, copyGraph } from '@updraft/graph';
import { buildStepProgram, modelSpecs, train } from '@updraft/core';
import { crossEntropy, gpt, lenet, mlp } from '@updraft/nn';
import { adamw } from '@updraft/rules';
import * as ort from 'onnxruntime-node';
import { classes, numbers } from './networks.mjs';

function pipeline(name, network) {
  const { batch } = network;
  if (name === 'gpt') {
    const count = batch * network.context;
    const dims = [batch, network.context];
    return {
      model: gpt(network),
      columns: {
        tokens: { dataType: 'int64', shape: ['batch', network.context] },
        label: { dataType: 'int64', shape: ['batch', network.context] },
      },
      data: {
        tokens: { dataType: 'int64', dims, data: BigInt64Array.from(classes(count, 256), BigInt) },
        label: { dataType: 'int64', dims, data: BigInt64Array.from(classes(count, 256), BigInt) },
      },
    };
  }
  const shape = name === 'mlp' ? [784] : [1, 28, 28];
  return {
    model:
      name === 'mlp'
        ? mlp({ input: [784], hidden: network.sizes.slice(1, -1), classes: 10 })
        : lenet({ input: shape, classes: 10, channels: network.channels, hidden: network.hidden }),
    columns: {
      image: { dataType: 'float32', shape: ['batch', ...shape] },
      label: { dataType: 'int64', shape: ['batch'] },
    },
    data: {
      image: { dataType: 'float32', dims: [batch, ...shape], data: numbers(batch * 784) },
      label: { dataType: 'int64', dims: [batch], data: BigInt64Array.from(classes(batch, 10), BigInt) },
    },
  };
}

/** The public API (train with rule, metrics and sampler), and the same step as a bare graph in onnxruntime. */
export async function updraft(name, network) {
  const { model, columns, data } = pipeline(name, network);
  const backend = await createBackend({ device: 'cpu' });
  const sampler = {
    columns,
    draw: () => ({ columns: data, size: network.batch }),
    state: () => null,
    restore: () => undefined,
  };
  const updateRule = adamw({ learningRate: 1e-3 });
  const events = train({ model, sampler, reward: crossEntropy(), updateRule, backend, steps: 1e9 })[
    Symbol.asyncIterator
  ]();
  const nextStep = async () => {
    for (;;) {
      const { value } = await events.next();
      if (value.type === 'step') return;
    }
  };

  const specs = modelSpecs(model);
  const zeros = (spec, initial = 0) => ({ kind: 'state', shape: spec.shape, dataType: spec.dataType, initial });
  const state = updateRule.init({
    params: specs.params,
    like: zeros,
    likeParams: () => Object.fromEntries(Object.entries(specs.params).map(([key, spec]) => [key, zeros(spec)])),
  });
  const bound = Object.fromEntries(
    Object.entries(columns).map(([key, spec]) => [key, { ...spec, shape: data[key].dims }]),
  );
  const step = buildStepProgram({
    model,
    specs,
    reward: crossEntropy(),
    updateRule,
    state,
    columns: bound,
    phase: 'step',
    monitored: false,
    perExample: false,
  });
  const { graph } = copyGraph(step.graph);
  const session = await ort.InferenceSession.create(encodeModel(graph), { graphOptimizationLevel: 'all' });
  const tensorOf = ({ name: input, dataType, shape }) => {
    const count = shape.reduce((a, b) => a * b, 1);
    return new ort.Tensor(
      dataType,
      input.startsWith('param/') ? numbers(count).map((value) => value * 0.05) : new Float32Array(count),
      shape,
    );
  };
  const feeds = {};
  const spare = {};
  for (const input of graph.inputs) {
    const column = input.name.startsWith('batch/') ? data[input.name.slice(6)] : undefined;
    feeds[input.name] =
      column === undefined ? tensorOf(input) : new ort.Tensor(column.dataType, column.data, column.dims);
    if (step.updates.has(input.name)) spare[input.name] = tensorOf(input);
  }
  for (const { name: scalar, at } of step.scalars) feeds[`scalar/${scalar}`].data[0] = at(1);
  const metrics = Object.fromEntries(
    [...step.metrics.values()].map((output) => [output, new ort.Tensor('float32', new Float32Array(1), [])]),
  );
  const bare = async () => {
    const fetches = { ...metrics };
    for (const [input, output] of step.updates) fetches[output] = spare[input];
    await session.run(feeds, fetches);
    for (const input of step.updates.keys()) [feeds[input], spare[input]] = [spare[input], feeds[input]];
  };
  return [
    { label: 'updraft', step: nextStep, dispose: () => events.return?.() },
    { label: 'the bare graph in onnxruntime', step: bare, dispose: () => session.release() },
  ];
}
