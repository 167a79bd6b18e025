import { gradients, type DerivativeTable } from '@updraft/autodiff';
import type { Backend, HostTensors } from '@updraft/backend';
import { elementCount, Graph, isFloat, readElement, writeElement, type Tensor, type TensorData } from '@updraft/graph';
import { ContractError } from './errors.js';

export interface GradientCheckOptions {
  readonly backend: Backend;
  /** Values at which to check. float64 inputs give trustworthy differences; only floating-point ones are varied. */
  readonly inputs: readonly TensorData[];
  /** The function: tensors of the inputs' shapes in, tensors of floating-point types and static shapes out. */
  readonly build: (...inputs: Tensor[]) => Tensor | readonly Tensor[];
  /** Derivative rules; default: the standard ones. */
  readonly derivatives?: DerivativeTable;
  /** `2` checks derivatives of derivatives. Default 1. */
  readonly order?: 1 | 2;
  /** Half the distance of the central difference; default 1e-5 (1e-2 where an input is float32). */
  readonly step?: number;
  /** Largest accepted difference relative to the largest difference quotient (at least 0.1); default 1e-6 (1e-2). */
  readonly tolerance?: number;
}

export interface GradientCheck {
  /** Number of derivatives compared. */
  readonly compared: number;
  /** Largest difference relative to the largest difference quotient of its input. */
  readonly largestError: number;
}

/** Fixed weights in [0.4, 1.6] that differ between neighbours, so that no error cancels out in a sum. */
const weight = (output: number, index: number): number => 1 + 0.6 * Math.sin(1 + 7 * output + 1.7 * index);

function weighted(outputs: readonly Tensor[]): Tensor {
  const sums = outputs.map((value, output) => {
    const shape = value.shape.map((size) => {
      if (typeof size === 'number') return size;
      throw new ContractError(`The output ${output} of the checked function has a symbolic shape.`, {
        hint: 'Build it from inputs of static shapes.',
      });
    });
    const count = elementCount(shape);
    const weights = Float64Array.from({ length: count }, (_, index) => weight(output, index));
    const constant = value.graph.constant({ dataType: 'float64', dims: shape, data: weights });
    return value.cast('float64').mul(constant).sum();
  });
  const [first, ...rest] = sums;
  if (first === undefined) throw new ContractError('The checked function has no output.');
  return rest.reduce((total, sum) => total.add(sum), first);
}

/**
 * Compare the derivatives of `build` with central differences, element by element, on a backend.
 *
 * @throws ContractError naming the input and the element where they differ by more than `tolerance`.
 */
export async function checkGradients(options: GradientCheckOptions): Promise<GradientCheck> {
  const { backend, inputs, build, order = 1 } = options;
  const single = inputs.some(({ dataType }) => dataType !== 'float64' && isFloat(dataType));
  const step = options.step ?? (single ? 1e-2 : 1e-5);
  const tolerance = options.tolerance ?? (single ? 1e-2 : 1e-6);
  const varied = inputs.flatMap(({ dataType }, index) => (isFloat(dataType) ? [index] : []));
  if (varied.length === 0) throw new ContractError('No input of the checked function has a floating-point type.');

  const graph = new Graph('gradient-check');
  const tensors = inputs.map((data, index) => graph.input(`input${index}`, data.dataType, data.dims));
  const derive = (value: Tensor): readonly Tensor[] =>
    gradients(
      value,
      varied.map((index) => tensors[index] as Tensor),
      options.derivatives === undefined ? {} : { derivatives: options.derivatives },
    );
  const built = build(...tensors);
  const first = weighted(Array.isArray(built) ? (built as readonly Tensor[]) : [built as Tensor]);
  const total = order === 1 ? first : weighted(derive(first));
  graph.output(total, 'total');
  derive(total).forEach((gradient, at) => graph.output(gradient.cast('float64'), `gradient${at}`));

  const program = await backend.compile(graph);
  const needed = new Set(program.inputs.map(({ name }) => name));
  const feed = (values: readonly TensorData[]): HostTensors =>
    Object.fromEntries(
      values.flatMap((value, index) => (needed.has(`input${index}`) ? [[`input${index}`, value] as const] : [])),
    );
  let compared = 0;
  let largestError = 0;
  try {
    const found = await program.run(feed(inputs));
    const analytic = varied.map((_, at) =>
      Float64Array.from((found[`gradient${at}`] as TensorData).data as Float64Array),
    );
    for (const [at, index] of varied.entries()) {
      const base = inputs[index] as TensorData;
      const count = elementCount(base.dims);
      const quotients = new Float64Array(count);
      for (let element = 0; element < count; element++) {
        const totalAt = async (delta: number): Promise<[number, number]> => {
          const moved = { ...base, data: (base.data as Float64Array).slice() } as TensorData;
          writeElement(moved, element, readElement(base, element) + delta);
          const values = inputs.map((value, position) => (position === index ? moved : value));
          const { total: data } = await program.run(feed(values), ['total']);
          return [readElement(data as TensorData, 0), readElement(moved, element)];
        };
        const [above, right] = await totalAt(step);
        const [below, left] = await totalAt(-step);
        quotients[element] = (above - below) / (right - left);
      }
      const scale = quotients.reduce((most, value) => Math.max(most, Math.abs(value)), 0.1);
      quotients.forEach((quotient, element) => {
        const derivative = analytic[at]?.[element] ?? NaN;
        const error = Math.abs(derivative - quotient) / scale;
        // NaN is never within the tolerance.
        if (!(error <= tolerance))
          throw new ContractError(
            `The derivative of order ${order} with respect to element ${element} of input ${index} is ${derivative}; the central difference is ${quotient}.`,
            { hint: `They may differ by ${tolerance} of ${scale}.` },
          );
        compared++;
        largestError = Math.max(largestError, error);
      });
    }
  } finally {
    await program.dispose();
  }
  return { compared, largestError };
}
