import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createBackend, type Backend } from '@updraft/backend';
import { encodeModel, Graph, loadModel, tensor, type Tensor, type TensorData } from '@updraft/graph';
import { CoreError } from '../errors.js';
import { inferenceGraph } from '../export/export-model.js';
import { modelSpecs } from '../program/model-specs.js';
import { Scope } from './scope.js';
import { ConstantProvider } from './constant-provider.js';
import { frozen, frozenGraph, type FrozenModel } from './frozen.js';
import { defineModel } from './module.js';

let backend: Backend;
beforeAll(async () => {
  backend = await createBackend({ device: 'cpu' });
});
afterAll(() => backend.dispose());

const affine = defineModel({
  name: 'affine',
  inputs: { x: { dataType: 'float32', shape: ['batch', 2] } },
  build: (scope, { x }) =>
    (x as Tensor)
      .matMul(scope.parameter('weight', [2, 2], { initialize: () => new Float32Array(4) }))
      .add(scope.variable('offset', [2]))
      // A dropout would show the training form.
      .mul(scope.training ? 0 : 1),
});
const values = { weight: tensor([[1, 2], [3, 4]]), offset: tensor([10, 20]) }; // prettier-ignore

const run = async (part: FrozenModel, x: TensorData): Promise<{ output: number[]; constants: number }> => {
  const graph = new Graph('outer');
  const scope = new Scope(new ConstantProvider(graph, {}), true);
  const once = part(scope, { x: graph.constant(x) })['output'] as Tensor;
  const before = graph.constants.size;
  graph.output(part(scope, { x: once })['output'] as Tensor, 'result');
  const program = await backend.compile(graph);
  const found = await program.run({});
  await program.dispose();
  return { output: Array.from(found['result']?.data as Float32Array), constants: graph.constants.size - before };
};

test('values become constants, in inference form, once in a graph', async () => {
  const { output, constants } = await run(frozen(affine, values), tensor([[1, 0]]));
  // (1, 0) → (11, 22) → (11 + 66 + 10, 22 + 88 + 20).
  expect(output).toEqual([87, 130]);
  expect(constants).toBeLessThanOrEqual(1);
});

test('a part has no parameters of its own; a missing value is told', () => {
  const outer = (given: Readonly<Record<string, TensorData>>) =>
    defineModel({
      name: 'outer',
      inputs: affine.inputs,
      build: (scope, inputs) => frozen(affine, given)(scope, inputs),
    });
  expect(modelSpecs(outer(values))).toEqual({ params: {}, variables: {} });
  expect(() => modelSpecs(outer({ weight: values.weight }))).toThrow(/no value for "offset"/);
});

test('a loaded file is such a part as well', async () => {
  const { graph } = loadModel(encodeModel(inferenceGraph(affine, values)));
  expect((await run(frozenGraph(graph), tensor([[1, 0]]))).output).toEqual([87, 130]);
  const scope = new Scope(new ConstantProvider(new Graph('outer'), {}), true);
  expect(() => frozenGraph(graph)(scope, {})).toThrow(CoreError);
});
