import { expect } from '@jest/globals';
import {
  elementCount,
  emptyTensor,
  encodeModel,
  Graph,
  isFloat,
  isStaticShape,
  mul,
  readElement,
  writeElement,
  type DataType,
  type TensorData,
  type Tensor,
} from '@updraft/graph';
import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import type { DerivativeTable } from '../../derivative.js';
import { gradients } from '../../gradients.js';

/** An input of a case: a shape, filled with reproducible numbers in ±`scale` around `offset`, or the values themselves. */
export interface InputSpec {
  readonly shape: readonly number[];
  readonly values?: readonly number[];
  readonly offset?: number;
  readonly scale?: number;
  /** Default: the element type of the case. Only inputs of floating-point types are differentiated. */
  readonly dataType?: DataType;
}

export interface DifferenceOptions {
  readonly dataType?: 'float32' | 'float64';
  readonly derivatives?: DerivativeTable;
  /** Step of the central difference; default: 1e-5 in float64, 2e-2 in float32. */
  readonly step?: number;
  /** Largest difference relative to the largest gradient; default: 1e-6 in float64, 1e-2 in float32. */
  readonly tolerance?: number;
  /** Orders to check; default: first and second. */
  readonly orders?: readonly (1 | 2)[];
}

export type Build = (...inputs: Tensor[]) => readonly Tensor[];

/** Reproducible numbers in [-1, 1] without a period of a small size. */
const noise = (index: number): number => {
  const value = Math.sin((index + 1) * 12.9898) * 43758.5453;
  return 2 * (value - Math.floor(value)) - 1;
};

function materialise(spec: InputSpec, dataType: DataType, seed: number): TensorData {
  const data = emptyTensor(spec.dataType ?? dataType, spec.shape);
  for (let index = 0; index < elementCount(spec.shape); index++)
    writeElement(data, index, spec.values?.[index] ?? (spec.offset ?? 0) + (spec.scale ?? 1) * noise(seed + index));
  return data;
}

const fed = (data: TensorData): RuntimeTensor =>
  new RuntimeTensor(data.dataType as 'float32', data.data as Float32Array, [...data.dims]);

const declare = (graph: Graph, inputs: readonly TensorData[]): Tensor[] =>
  inputs.map((data, index) => graph.input(`input${index}`, data.dataType, data.dims));

/** A graph compiled for repeated evaluation. */
async function compiled(
  inputs: readonly TensorData[],
  build: Build,
): Promise<{ run(values: readonly TensorData[]): Promise<TensorData[]>; release(): Promise<void> }> {
  const graph = new Graph('case');
  const results = build(...declare(graph, inputs)).map((value, index) => graph.output(value.mul(1), `result${index}`));
  const session = await InferenceSession.create(encodeModel(graph), {
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  const used = new Set(session.inputNames);
  return {
    async run(values) {
      const feeds = values
        .map((value, index) => [`input${index}`, fed(value)] as const)
        .filter(([name]) => used.has(name));
      const found = await session.run(Object.fromEntries(feeds));
      return results.map(({ name }) => {
        const value = found[name] as RuntimeTensor;
        return { dataType: value.type, dims: value.dims, data: value.data };
      });
    },
    release: () => session.release(),
  };
}

/** Evaluate a graph once. */
export async function evaluate(inputs: readonly TensorData[], build: Build): Promise<TensorData[]> {
  const program = await compiled(inputs, build);
  try {
    return await program.run(inputs);
  } finally {
    await program.release();
  }
}

/** Fixed weights that make one number of a tensor. */
const weightOf = (output: number, index: number): number => 0.3 + noise(1000 * (output + 7) + index);

/** Weighted sum of floating-point outputs, on the host in double precision. */
const weigh = (outputs: readonly TensorData[]): number =>
  outputs.reduce((total, data, output) => {
    for (let index = 0; index < elementCount(data.dims); index++)
      total += weightOf(output, index) * readElement(data, index);
    return total;
  }, 0);

/** The same weighted sum as a graph. */
function weighted(outputs: readonly Tensor[]): Tensor {
  return outputs
    .map((value, output) => {
      if (!isStaticShape(value.shape)) throw new Error(`"${value.name}" has a symbolic shape`);
      const weights = emptyTensor(value.dataType, value.shape);
      for (let index = 0; index < elementCount(value.shape); index++)
        writeElement(weights, index, weightOf(output, index));
      return mul(value, value.graph.constant(weights)).sum();
    })
    .reduce((left, right) => left.add(right));
}

/** Gradients of the weighted outputs are equal to central differences of the outputs, element by element. */
async function expectFirstOrder(
  inputs: readonly TensorData[],
  build: Build,
  differentiable: readonly number[],
  options: DifferenceOptions,
  label: string,
): Promise<void> {
  const double = inputs.some(({ dataType }) => dataType === 'float64');
  const step = options.step ?? (double ? 1e-5 : 2e-2);
  const tolerance = options.tolerance ?? (double ? 1e-6 : 1e-2);
  const analytic = await evaluate(inputs, (...values) =>
    gradients(
      weighted(build(...values)),
      differentiable.map((index) => values[index] as Tensor),
      { ...(options.derivatives === undefined ? {} : { derivatives: options.derivatives }) },
    ),
  );
  const program = await compiled(inputs, build);
  try {
    for (const [at, index] of differentiable.entries()) {
      const base = inputs[index] as TensorData;
      const numeric: number[] = [];
      for (let element = 0; element < elementCount(base.dims); element++) {
        const shifted = async (delta: number): Promise<{ total: number; value: number }> => {
          const copy = { ...base, data: (base.data as Float64Array).slice() } as TensorData;
          writeElement(copy, element, readElement(base, element) + delta);
          const outputs = await program.run(inputs.map((value, position) => (position === index ? copy : value)));
          return { total: weigh(outputs), value: readElement(copy, element) };
        };
        const [above, below] = [await shifted(step), await shifted(-step)];
        numeric.push((above.total - below.total) / (above.value - below.value));
      }
      const found = analytic[at] as TensorData;
      const largest = Math.max(0.1, ...numeric.map(Math.abs));
      const worst = numeric.reduce((most, value, element) => {
        const difference = Math.abs(value - readElement(found, element)) / largest;
        // NaN compares as nothing: count it as wrong.
        return difference <= most ? most : Number.isNaN(difference) ? Infinity : difference;
      }, 0);
      const context = `${label}, input ${index}`;
      expect({ context, worst: worst <= tolerance ? 'within tolerance' : worst }).toEqual({
        context,
        worst: 'within tolerance',
      });
    }
  } finally {
    await program.release();
  }
}

/** Check derivatives of every floating-point input against central differences on ONNX Runtime. */
export async function expectDerivatives(
  specs: readonly InputSpec[],
  build: Build,
  options: DifferenceOptions = {},
): Promise<void> {
  const dataType = options.dataType ?? 'float64';
  const inputs = specs.map((spec, index) => materialise(spec, dataType, 100 * index));
  const differentiable = inputs.flatMap(({ dataType: type }, index) => (isFloat(type) ? [index] : []));
  const orders = options.orders ?? [1, 2];
  if (orders.includes(1)) await expectFirstOrder(inputs, build, differentiable, options, 'first order');
  if (orders.includes(2))
    await expectFirstOrder(
      inputs,
      (...values) =>
        gradients(
          weighted(build(...values)),
          differentiable.map((index) => values[index] as Tensor),
          { ...(options.derivatives === undefined ? {} : { derivatives: options.derivatives }) },
        ),
      differentiable,
      options,
      'second order',
    );
}
