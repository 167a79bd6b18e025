import { expect, test } from '@jest/globals';
import { tensor } from './data-type.js';
import { Graph } from './graph.js';
import { modelOf } from './model.js';
import { cond } from './operators/control-flow.js';
import type { Tensor } from './tensor.js';
import { GraphValidationError, validateGraph, validateModel } from './validate.js';

function problems(graph: Graph): readonly string[] {
  try {
    validateGraph(graph);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(GraphValidationError);
    return (error as GraphValidationError).problems;
  }
}

function sample(): { graph: Graph; x: Tensor; y: Tensor; z: Tensor } {
  const graph = new Graph('net');
  const x = graph.input('x', 'float32', [2]);
  const y = x.mul(graph.constant(tensor([1, 2]), 'float32', 'w'));
  const [z] = cond(
    y.sum().greater(0),
    () => [y.neg()],
    () => [y.abs()],
  ) as [Tensor];
  graph.output(z, 'z');
  return { graph, x, y, z };
}

test('a graph from the builder is valid', () => {
  expect(problems(sample().graph)).toEqual([]);
});

test('order, names, scopes, constants and outputs are checked', () => {
  const order = sample();
  order.graph.replaceNodes([...order.graph.nodes].reverse());
  expect(problems(order.graph).join()).toMatch(/uses "Mul:0" before it is computed/);

  const names = sample();
  names.y.name = 'x';
  expect(problems(names.graph)).toContain('Two values of the graph "net" are named "x".');

  const shadow = sample();
  const inner = shadow.graph.nodes.find(({ type }) => type === 'If')?.subgraph('then_branch').outputs[0];
  if (inner !== undefined) inner.name = 'w';
  expect(problems(shadow.graph).join()).toMatch(
    /"w" of the graph "then" has the name of a value of an enclosing graph/,
  );

  const lost = sample();
  lost.graph.replaceNodes(lost.graph.nodes.slice(0, -1));
  expect(problems(lost.graph)).toContain('The output "z" of the graph "net" is not computed in it.');

  const contents = sample();
  const [w] = [...contents.graph.constants.keys()];
  if (w !== undefined) contents.graph.constants.set(w, { dataType: 'float32', dims: [2], data: new Float32Array(3) });
  expect(problems(contents.graph)).toContain('The constant "w" holds 12 bytes; its shape needs 8.');

  const foreign = sample();
  foreign.graph.outputs.push(new Graph('other').input('o', 'float32', []));
  expect(problems(foreign.graph)).toContain('The output "o" of the graph "net" is not computed in it.');
});

test('a model has to import the versions that its nodes need', () => {
  const { graph } = sample();
  expect(() => validateModel(modelOf(graph))).not.toThrow();
  expect(() => validateModel(modelOf(graph, { opsets: new Map([['com.example', 1]]) }))).toThrow(
    /imports no operators of the domain "ai\.onnx"/,
  );
});
