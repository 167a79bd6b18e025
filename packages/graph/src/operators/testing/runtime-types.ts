import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { expect } from '@jest/globals';
import { elementCount, emptyTensor, isFloat, writeElement } from '../../data-type.js';
import { symbol, type Dim } from '../../dimension.js';
import { Graph } from '../../graph.js';
import { encodeModel } from '../../serialise/encode.js';
import { isStaticShape, shapeText, substituteShape, type Shape } from '../../shape.js';
import type { Tensor } from '../../tensor.js';

/** Builds a graph; `size(name)` is a number in one run and a symbol in another. */
export type Builder = (graph: Graph, size: (name: string) => Dim) => readonly Tensor[];

const typeText = (dataType: string, shape: Shape): string => `${dataType}${shapeText(shape)}`;

function built(build: Builder, size: (name: string) => Dim): { graph: Graph; outputs: readonly Tensor[] } {
  const graph = new Graph('case');
  const outputs = build(graph, size);
  for (const output of outputs) graph.output(output);
  return { graph, outputs };
}

function randomInput(input: Tensor): RuntimeTensor {
  if (!isStaticShape(input.shape)) throw new Error(`"${input.name}" is symbolic`);
  const value = emptyTensor(input.dataType, input.shape);
  for (let index = 0; index < elementCount(input.shape); index++)
    writeElement(value, index, isFloat(input.dataType) ? (((index + 1) * 7919) % 17) / 10 - 0.7 : index % 2);
  return new RuntimeTensor(input.dataType as 'float32', value.data as Float32Array, [...input.shape]);
}

/**
 * Three statements about one graph: ONNX Runtime returns the types that inference with static sizes gave; inference with
 * symbols followed by substitution gives them too; and so does a mixture, in which only some sizes are symbols.
 * `unknown` names symbols that inference may invent for sizes that it cannot know.
 */
export async function expectRuntimeTypes(
  build: Builder,
  sizes: Readonly<Record<string, number>> = {},
  { symbolic = true }: { readonly symbolic?: boolean } = {},
): Promise<void> {
  const sizeOf = (name: string): number => {
    const size = sizes[name];
    if (size === undefined) throw new Error(`no size "${name}"`);
    return size;
  };
  const { graph, outputs } = built(build, sizeOf);
  const expected = outputs.map(({ dataType, shape }) => typeText(dataType, shape));
  if (symbolic) {
    const bindings = new Map(Object.entries(sizes));
    const names = Object.keys(sizes);
    const substituted = (isSymbol: (name: string) => boolean): string[] =>
      built(build, (name) => (isSymbol(name) ? symbol(name) : sizeOf(name))).outputs.map(({ dataType, shape }) =>
        typeText(dataType, substituteShape(shape, bindings)),
      );
    expect(substituted(() => true)).toEqual(expected);
    expect(substituted((name) => names.indexOf(name) % 2 === 0)).toEqual(expected);
  }
  const session = await InferenceSession.create(encodeModel(graph), {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  try {
    const results = await session.run(
      Object.fromEntries(graph.inputs.map((input) => [input.name, randomInput(input)])),
    );
    const actual = outputs.map(({ name }) => {
      const result = results[name];
      return result === undefined ? 'nothing' : typeText(result.type, result.dims);
    });
    expect(actual).toEqual(expected);
  } finally {
    await session.release();
  }
}
