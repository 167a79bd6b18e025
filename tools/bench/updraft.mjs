import { createBackend } from '@updraft/backend';
import { encodeModel, copyGraph } from '@updraft/graph';
import { buildStepProgram, modelSpecs, train } from '@updraft/core';
import { crossEntropy, gpt, lenet, mlp } from '@updraft/nn';
import { adamw } from '@updraft/rules';
import * as ort from 'onnxruntime-node';
import { batches, inTurn, numbers } from './networks.mjs';

const int64 = (values, dims) => ({ dataType: 'int64', dims, data: BigInt64Array.from(values, BigInt) });

function pipeline(name, network) {
  const { batch, context } = network;
  const pool = batches(name, network);
  if (name === 'gpt')
    return {
      model: gpt(network),
      columns: {
        tokens: { dataType: 'int64', shape: ['batch', context] },
        label: { dataType: 'int64', shape: ['batch', context] },
      },
      data: pool.map(({ x, y }) => ({ tokens: int64(x, [batch, context]), label: int64(y, [batch, context]) })),
    };
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
    data: pool.map(({ x, y }) => ({
      image: { dataType: 'float32', dims: [batch, ...shape], data: x },
      label: int64(y, [batch]),
    })),
  };
}

/** The public API (train with rule, metrics and sampler), and the same step as a bare graph in onnxruntime. */
export async function updraft(name, network, { alone = false } = {}) {
  const { model, columns, data } = pipeline(name, network);
  const backend = await createBackend({ device: 'cpu' });
  const sampler = {
    columns,
    draw: ({ step }) => ({ columns: inTurn(data, step), size: network.batch }),
    state: () => null,
    restore: () => undefined,
  };
  const updateRule = adamw({ learningRate: 1e-3 });
  const events = train({ model, sampler, reward: crossEntropy(), updateRule, backend, steps: 1e9 })[
    Symbol.asyncIterator
  ]();
  let last;
  const nextStep = async () => {
    for (;;) {
      const { value } = await events.next();
      if (value.type === 'step') {
        last = value;
        return;
      }
    }
  };
  const contestant = { label: 'updraft', step: nextStep, last: () => last, dispose: () => events.return?.() };
  if (alone) return [contestant];

  const specs = modelSpecs(model);
  const zeros = (spec, initial = 0) => ({ kind: 'state', shape: spec.shape, dataType: spec.dataType, initial });
  const state = updateRule.init({
    params: specs.params,
    like: zeros,
    likeParams: () => Object.fromEntries(Object.entries(specs.params).map(([key, spec]) => [key, zeros(spec)])),
  });
  const bound = Object.fromEntries(
    Object.entries(columns).map(([key, spec]) => [key, { ...spec, shape: data[0][key].dims }]),
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
    if (input.name.startsWith('batch/')) continue;
    feeds[input.name] = tensorOf(input);
    if (step.updates.has(input.name)) spare[input.name] = tensorOf(input);
  }
  const metrics = Object.fromEntries(
    [...step.metrics.values()].map((output) => [output, new ort.Tensor('float32', new Float32Array(1), [])]),
  );
  const columnFeeds = data.map((batch) =>
    Object.fromEntries(
      Object.entries(batch).map(([key, { dataType, data: values, dims }]) => [
        `batch/${key}`,
        new ort.Tensor(dataType, values, dims),
      ]),
    ),
  );
  const bare = async (taken) => {
    for (const { name: scalar, at } of step.scalars) feeds[`scalar/${scalar}`].data[0] = at(taken + 1);
    Object.assign(feeds, inTurn(columnFeeds, taken));
    const fetches = { ...metrics };
    for (const [input, output] of step.updates) fetches[output] = spare[input];
    await session.run(feeds, fetches);
    for (const input of step.updates.keys()) [feeds[input], spare[input]] = [spare[input], feeds[input]];
  };
  return [contestant, { label: 'the bare graph in onnxruntime', step: bare, dispose: () => session.release() }];
}
