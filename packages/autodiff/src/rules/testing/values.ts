/**
 * Dense tensors in double precision for reference functions: slow, and close to the text of the ONNX specification, so
 * that they owe nothing to the rules and kernels that they judge.
 */
export interface Values {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

export const sizeOfDims = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

/** A tensor of these numbers, row-major. */
export const valuesOf = (dims: readonly number[], data: Iterable<number>): Values => ({
  dims,
  data: Float64Array.from(data),
});

export const scalarOf = (value: number): Values => valuesOf([], [value]);

/** A tensor whose element at each index is what the function says. The index array is reused: copy it to keep it. */
export function tabulate(dims: readonly number[], element: (index: number[], position: number) => number): Values {
  const data = new Float64Array(sizeOfDims(dims));
  const index = dims.map(() => 0);
  for (let position = 0; position < data.length; position++) {
    data[position] = element(index, position);
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (dims[axis] as number)) break;
      index[axis] = 0;
    }
  }
  return { dims, data };
}

/** Every index of a tensor, in order. */
export function eachIndex(dims: readonly number[], visit: (index: number[], position: number) => void): void {
  tabulate(dims, (index, position) => {
    visit(index, position);
    return 0;
  });
}

export const positionOf = (dims: readonly number[], index: readonly number[]): number => {
  let position = 0;
  for (let axis = 0; axis < dims.length; axis++) position = position * (dims[axis] as number) + (index[axis] as number);
  return position;
};

export const elementAt = ({ dims, data }: Values, index: readonly number[]): number =>
  data[positionOf(dims, index)] as number;

/** The element that broadcasting puts at an index of the result: trailing axes align, axes of size 1 repeat. */
export function broadcastAt({ dims, data }: Values, index: readonly number[]): number {
  const lead = index.length - dims.length;
  let position = 0;
  for (let axis = 0; axis < dims.length; axis++)
    position = position * (dims[axis] as number) + (dims[axis] === 1 ? 0 : (index[axis + lead] as number));
  return data[position] as number;
}

export function broadcastDims(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, axis) =>
    Math.max(...shapes.map((dims) => dims[axis - (rank - dims.length)] ?? 1)),
  );
}

/** A function of elements that meet when the operands broadcast. */
export const elementwise = (f: (...elements: number[]) => number, ...operands: readonly Values[]): Values =>
  tabulate(broadcastDims(...operands.map(({ dims }) => dims)), (index) =>
    f(...operands.map((operand) => broadcastAt(operand, index))),
  );

export const mapValues = (x: Values, f: (value: number, position: number) => number): Values => ({
  dims: x.dims,
  data: x.data.map(f),
});

export const reshaped = (x: Values, dims: readonly number[]): Values => ({ dims, data: x.data });

export const transposed = (x: Values, permutation: readonly number[]): Values => {
  const source = x.dims.map(() => 0);
  return tabulate(
    permutation.map((axis) => x.dims[axis] as number),
    (index) => {
      permutation.forEach((axis, at) => {
        source[axis] = index[at] as number;
      });
      return elementAt(x, source);
    },
  );
};

export const wrapAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** Reduce axes (non-negative) by a function of the elements that fall together, in order. */
export function reduced(
  x: Values,
  axes: readonly number[],
  keepDims: boolean,
  f: (elements: readonly number[]) => number,
): Values {
  const kept = x.dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim));
  const groups = Array.from({ length: sizeOfDims(kept) }, (): number[] => []);
  eachIndex(x.dims, (index, position) => {
    const target = index.map((at, axis) => (axes.includes(axis) ? 0 : at));
    groups[positionOf(kept, target)]?.push(x.data[position] as number);
  });
  return valuesOf(keepDims ? kept : x.dims.filter((_, axis) => !axes.includes(axis)), groups.map(f));
}

/** Matrix product over the last two axes with broadcast leading ones, as `numpy.matmul` has it. */
export function matrixProduct(a: Values, b: Values): Values {
  const left = a.dims.length === 1 ? reshaped(a, [1, ...a.dims]) : a;
  const right = b.dims.length === 1 ? reshaped(b, [...b.dims, 1]) : b;
  const [rows, inner] = left.dims.slice(-2) as [number, number];
  const columns = right.dims[right.dims.length - 1] as number;
  const batch = broadcastDims(left.dims.slice(0, -2), right.dims.slice(0, -2));
  const result = tabulate([...batch, rows, columns], (index) => {
    const [row, column] = index.slice(-2) as [number, number];
    const lead = index.slice(0, -2);
    let sum = 0;
    for (let at = 0; at < inner; at++)
      sum += broadcastLead(left, [...lead, row, at]) * broadcastLead(right, [...lead, at, column]);
    return sum;
  });
  const dims = [...batch, ...(a.dims.length === 1 ? [] : [rows]), ...(b.dims.length === 1 ? [] : [columns])];
  return reshaped(result, dims);
}

/** Leading axes broadcast, the last two are taken as they are. */
function broadcastLead(x: Values, index: readonly number[]): number {
  const lead = index.length - x.dims.length;
  const own = x.dims.map((dim, axis) => (axis < x.dims.length - 2 && dim === 1 ? 0 : (index[axis + lead] as number)));
  return elementAt(x, own);
}

export const sumOf = (elements: readonly number[]): number => elements.reduce((total, value) => total + value, 0);
