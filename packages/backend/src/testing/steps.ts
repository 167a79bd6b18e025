import { gradients } from '@updraft/autodiff';
import {
  conv,
  Graph,
  layerNormalization,
  matMul,
  relu,
  softmax,
  tensor,
  type Tensor,
  type TensorData,
} from '@updraft/graph';
import type { Backend } from '../backend.js';

/** x · w + b with w and b resident, moved by their gradients: a step as the drivers build it. */
export function stepGraph(): { graph: Graph; resident: string[]; updates: Map<string, string> } {
  const graph = new Graph('step');
  const x = graph.input('x', 'float32', ['batch', 3]);
  const y = graph.input('y', 'float32', ['batch', 2]);
  const w = graph.input('w', 'float32', [3, 2]);
  const b = graph.input('b', 'float32', [2]);
  const loss = matMul(x, w).add(b).sub(y).square().mean();
  const [gw, gb] = gradients(loss, [w, b]) as [Tensor, Tensor];
  graph.output(w.sub(gw.mul(0.1)), 'next_w');
  graph.output(b.sub(gb.mul(0.1)), 'next_b');
  graph.output(loss, 'loss');
  return {
    graph,
    resident: ['w', 'b'],
    updates: new Map([
      ['w', 'next_w'],
      ['b', 'next_b'],
    ]),
  };
}

export const start = (): Record<string, TensorData> => ({
  w: tensor([
    [0.1, -0.2],
    [0.3, 0.4],
    [-0.5, 0.6],
  ]),
  b: tensor([0, 0.1]),
});
export const feeds = (): Record<string, TensorData> => ({
  x: tensor([
    [1, 2, 3],
    [4, 5, -6],
    [-1, 0, 1],
    [0.5, 0.25, 2],
  ]),
  y: tensor([
    [1, 0],
    [0, 1],
    [1, 1],
    [0, 0],
  ]),
});

/** Losses and final parameters of some steps on a backend. */
export async function takeSteps(
  backend: Backend,
  count: number,
): Promise<{ losses: number[]; w: number[]; b: number[] }> {
  const { graph, resident, updates } = stepGraph();
  const program = await backend.compile(graph, { resident, updates });
  const state = await backend.createState(start());
  const losses: number[] = [];
  for (let step = 0; step < count; step++)
    losses.push(Number((await program.step(state, feeds(), ['loss']))['loss']?.data[0]));
  const { w, b } = await state.read();
  await program.dispose();
  await state.dispose();
  return { losses, w: Array.from(w?.data as Float32Array), b: Array.from(b?.data as Float32Array) };
}

/** A network with convolution, normalisation and softmax, its gradients, and values for its inputs. */
export function networkGraph(): { graph: Graph; values: Record<string, TensorData> } {
  const graph = new Graph('network');
  const x = graph.input('x', 'float32', [2, 1, 8, 8]);
  const k = graph.input('k', 'float32', [4, 1, 3, 3]);
  const g = graph.input('g', 'float32', [36]);
  const w = graph.input('w', 'float32', [36, 5]);
  const hidden = layerNormalization(relu(conv(x, k)).reshape([2, 4, 36]), g).mean([1]);
  const loss = softmax(matMul(hidden, w)).square().sum();
  graph.output(loss, 'loss');
  gradients(loss, [k, g, w]).forEach((gradient, index) => graph.output(gradient, `g${index}`));
  const random = (dims: readonly number[]): TensorData => ({
    dataType: 'float32',
    dims,
    data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, index) => Math.sin(index * 12.9898) * 0.5),
  });
  return { graph, values: { x: random([2, 1, 8, 8]), k: random([4, 1, 3, 3]), g: random([36]), w: random([36, 5]) } };
}
