import { expect, test } from '@jest/globals';
import { tensor } from './data-type.js';
import { Graph, labelled } from './graph.js';
import { loop } from './operators/control-flow.js';
import { gemm } from './operators/matrix.js';
import { printGraph } from './print.js';
import type { Tensor } from './tensor.js';

test('prints a line per node with types, attributes, labels and nested bodies', () => {
  const graph = new Graph('net');
  const x = graph.input('x', 'float32', ['batch', 2]);
  const w = graph.constant(
    tensor([
      [1, -0],
      [0.1, 4],
    ]),
    'float32',
    'w',
  );
  const y = labelled('adamw', () => gemm(x, w, undefined, { transposeB: true }));
  const { state } = loop({ count: 3, state: [y] }, (_, [value]) => ({ state: [(value as Tensor).neg()] }));
  graph.output(state[0] as Tensor);
  expect(printGraph(graph)).toBe(`graph net(%x: float32[batch, 2]) -> (%${state[0]?.name}) {
  %w: float32[2, 2] = constant [1, -0, 0.1, 4]
  %constant: int64[] = constant 3
  %Gemm:0: float32[batch, 2] = Gemm(%x, %w) {transB: 1}  # adamw
  %${state[0]?.name}: float32[batch, 2] = Loop(%constant, _, %Gemm:0)
    body graph loop(%iteration: int64[], %alive: bool[], %state: float32[batch, 2]) -> (%Identity:0, %Neg:0) {
      %Neg:0: float32[batch, 2] = Neg(%state)
      %Identity:0: bool[] = Identity(%alive)
    }
}`);
  expect(printGraph(graph, { maxNodes: 1, maxElements: 1 })).toMatch(/constant …[\s\S]*1 more nodes/);
});
