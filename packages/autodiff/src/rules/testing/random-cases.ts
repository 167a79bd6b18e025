import {
  emptyTensor,
  encodeModel,
  Graph,
  isStaticShape,
  readElement,
  removeDeadCode,
  writeElement,
  type DataType,
  type TensorData,
  type Tensor,
} from '@updraft/graph';
import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { gradients } from '../../gradients.js';
import { Random } from './random.js';
import { sizeOfDims, valuesOf, type Values } from './values.js';

/** An input of a random case. */
export interface CaseInput {
  readonly values: Values;
  /** Default: the element type of the operator's cases. */
  readonly dataType?: DataType;
  /** Whether derivatives with respect to it are checked; default: inputs without an element type of their own are. */
  readonly differentiated?: boolean;
}

/** One random setting of an operator with its inputs. */
export interface RandomCase {
  /** What a failure report shows beside the shapes. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly inputs: readonly CaseInput[];
  /** The operator on these inputs. */
  build(...inputs: Tensor[]): readonly Tensor[];
  /** The same in double precision on the host, written from the ONNX specification. */
  reference(...inputs: Values[]): readonly Values[];
}

export interface OperatorCases {
  /** Qualified name, as in the registry. */
  readonly operator: string;
  readonly draw: (random: Random) => RandomCase;
  /** float64 where the runtime has such kernels for the operator and its derivatives; default: float32. */
  readonly dataType?: 'float32' | 'float64';
  /**
   * The runtime has no CPU kernel for it: its output is not fetched, and the objective is linear in it, so that
   * derivatives do not need it either.
   */
  readonly withoutKernel?: boolean;
  /** Looser than the standard for a reason, which `because` states. */
  readonly tolerance?: { readonly first?: number; readonly second?: number; readonly because: string };
}

/** Cases per operator whose first derivatives are checked. */
export const CASES = 200;
/** The second derivatives of every fourth case are checked too. */
const SECOND_ORDER_EVERY = 1;
/** Relative to the largest derivative. Second differences in double precision reach 1e-6. */
const TOLERANCES = {
  float32: { forward: 1e-5, first: 1e-4, second: 2e-4 },
  float64: { forward: 1e-12, first: 1e-7, second: 2e-5 },
} as const;
const FIRST_STEP = 1e-5;
const SECOND_STEP = 3e-4;
/** Inputs with more elements than this are probed at some of them, and along random directions. */
const ELEMENTWISE = 24;
const PROBES = 10;
/** Cases share a session up to this many nodes: the runtime takes more than proportionally longer for more. */
const NODES = 400;

export const real = (values: Values): CaseInput => ({ values });
export const whole = (values: Values, dataType: DataType = 'int64'): CaseInput => ({ values, dataType });
/** A floating-point input that carries no gradient. */
export const fixed = (values: Values): CaseInput => ({ values, differentiated: false });

interface Prepared {
  readonly one: RandomCase;
  readonly number: number;
  /** Positions of the inputs with derivatives. */
  readonly wanted: readonly number[];
  readonly weights: readonly Float64Array[];
  /** Factor of the squares in the objective. */
  readonly curvature: number;
  /** A direction per input in `wanted`, where the second order is checked. */
  readonly directions: readonly Values[] | undefined;
  /** For each input in `wanted`, directions in which derivatives are compared. */
  readonly probes: readonly (readonly Float64Array[])[];
  readonly outputs: readonly Tensor[];
  readonly first: readonly Tensor[];
  readonly second: readonly Tensor[];
}

function runtimeTensor(values: Values, dataType: DataType): TensorData {
  const data = emptyTensor(dataType, values.dims);
  values.data.forEach((value, position) => {
    writeElement(data, position, value);
  });
  return data;
}
const numbersOf = (value: RuntimeTensor): number[] => {
  const data: TensorData = { dataType: value.type, dims: value.dims, data: value.data };
  return Array.from({ length: sizeOfDims(value.dims) }, (_, position) => readElement(data, position));
};

/** Σ w·(y + c·y²/2) as a graph: quadratic (c = 1), so that linear operators have second derivatives as well. */
function objective(outputs: readonly Tensor[], weights: readonly Float64Array[], curvature: number): Tensor {
  return outputs
    .map((y, index) => {
      if (!isStaticShape(y.shape)) throw new Error(`"${y.name}" has a symbolic shape`);
      const w = y.graph.constant(runtimeTensor(valuesOf(y.shape, weights[index] as Float64Array), y.dataType));
      return (curvature === 0 ? y : y.mul(y.mul(0.5 * curvature).add(1))).mul(w).sum();
    })
    .reduce((left, right) => left.add(right));
}

/** The same on the host. */
const objectiveOnHost = (outputs: readonly Values[], weights: readonly Float64Array[], curvature: number): number =>
  outputs.reduce((total, { data }, index) => {
    const w = weights[index] as Float64Array;
    return data.reduce((sum, y, position) => sum + (w[position] as number) * (y + 0.5 * curvature * y * y), total);
  }, 0);

function prepare(cases: OperatorCases, graph: Graph, number: number, random: Random): Prepared {
  const one = cases.draw(random);
  const dataType = cases.dataType ?? 'float32';
  const inputs = one.inputs.map(({ values, dataType: own }, index) =>
    graph.input(`input ${number} ${index}`, own ?? dataType, values.dims),
  );
  const wanted = one.inputs.flatMap(({ dataType: own, differentiated }, index) =>
    (differentiated ?? own === undefined) ? [index] : [],
  );
  const before = graph.nodes.length;
  const outputs = one.build(...inputs);
  if (!graph.nodes.slice(before).some(({ key }) => key === cases.operator))
    throw new Error(`Case ${number} of ${cases.operator} does not use it.`);
  const weights = outputs.map(({ shape }) => random.values([sizeOfDims(shape as readonly number[])]).data);
  const curvature = cases.withoutKernel === true ? 0 : 1;
  const variables = wanted.map((index) => inputs[index] as Tensor);
  const first = gradients(objective(outputs, weights, curvature), variables);
  let directions: Values[] | undefined;
  let second: Tensor[] = [];
  if (number % SECOND_ORDER_EVERY === 0) {
    directions = wanted.map((index) => random.values((one.inputs[index] as CaseInput).values.dims));
    second = gradients(first, variables, {
      outputGradients: directions.map((direction) => graph.constant(runtimeTensor(direction, dataType))),
    });
  }
  const named = (values: readonly Tensor[], what: string): Tensor[] =>
    values.map((value, index) => graph.output(value.mul(1), `${what} ${number} ${index}`));
  return {
    one,
    number,
    wanted,
    weights,
    curvature,
    directions,
    probes: wanted.map((index) => probesOf(random, sizeOfDims((one.inputs[index] as CaseInput).values.dims))),
    outputs: cases.withoutKernel === true ? [] : named(outputs, 'output'),
    first: named(first, 'first'),
    second: named(second, 'second'),
  };
}

/**
 * Small inputs are shifted element by element; of larger ones some elements, and all elements together, twice, so that
 * each one has a part in what is compared.
 */
function probesOf(random: Random, size: number): Float64Array[] {
  const unit = (at: number): Float64Array => {
    const direction = new Float64Array(size);
    direction[at] = 1;
    return direction;
  };
  if (size <= ELEMENTWISE) return Array.from({ length: size }, (_, at) => unit(at));
  return [
    ...Array.from({ length: PROBES }, () => unit(random.below(size))),
    ...[0, 1].map(() => random.values([size]).data),
  ];
}

/** Central differences of the objective along the probes, or of its slope along the directions. */
function differences({ one, wanted, weights, curvature, directions, probes }: Prepared, order: 1 | 2): number[][] {
  const inputs = one.inputs.map(({ values }) => ({ dims: values.dims, data: values.data.slice() }));
  const originals = one.inputs.map(({ values }) => values.data);
  const step = order === 1 ? FIRST_STEP : SECOND_STEP;
  const shift = (index: number, direction: Float64Array, by: number): void => {
    const { data } = inputs[index] as Values;
    for (let at = 0; at < data.length; at++) data[at] = (data[at] as number) + by * (direction[at] as number);
  };
  /** The objective where input `index` has moved along the probe, and all along their directions. */
  const at = (index: number, probe: Float64Array, by: number, along: number): number => {
    shift(index, probe, by);
    if (along !== 0)
      wanted.forEach((other, position) => {
        shift(other, (directions?.[position] as Values).data, along);
      });
    const result = objectiveOnHost(one.reference(...inputs), weights, curvature);
    wanted.forEach((other) => {
      (inputs[other] as Values).data.set(originals[other] as Float64Array);
    });
    return result;
  };
  return wanted.map((index, position) =>
    (probes[position] as readonly Float64Array[]).map((probe) => {
      const slope = (by: number): number =>
        order === 1 ? at(index, probe, by, 0) : (at(index, probe, by, step) - at(index, probe, by, -step)) / (2 * step);
      return (slope(step) - slope(-step)) / (2 * step);
    }),
  );
}

/** What was computed for each element, along the probes. */
const probed = (found: readonly number[][], probes: Prepared['probes']): number[][] =>
  probes.map((directions, input) =>
    directions.map((direction) => {
      const numbers = found[input] as number[];
      // A gradient of another size is wrong.
      if (numbers.length !== direction.length) return NaN;
      return direction.reduce((sum, part, at) => (part === 0 ? sum : sum + part * (numbers[at] as number)), 0);
    }),
  );

const largest = (numbers: readonly number[]): number =>
  numbers.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** Largest difference relative to `scale`; NaN compares as nothing and counts as infinitely wrong. */
const distance = (found: readonly number[], expected: readonly number[], scale: number): number =>
  expected.reduce((most, value, at) => {
    const difference = Math.abs(value - (found[at] as number)) / scale;
    return difference <= most ? most : Number.isNaN(difference) ? Infinity : difference;
  }, 0);

const rounded = (numbers: readonly number[]): string =>
  numbers
    .slice(0, 12)
    .map((value) => value.toPrecision(6))
    .join(' ');

export interface CheckResult {
  readonly cases: number;
  /** Largest relative differences that occurred. */
  readonly worst: { readonly forward: number; readonly first: number; readonly second: number };
  readonly failures: readonly string[];
}

/** Results of all cases of a graph, by the names of its outputs. */
async function evaluate(
  graph: Graph,
  prepared: readonly Prepared[],
  dataType: DataType,
): Promise<(tensors: readonly Tensor[]) => number[][]> {
  const session = await InferenceSession.create(encodeModel(removeDeadCode(graph).graph), {
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    // Fusing nodes is the business of other tests, and takes longer than running them once.
    graphOptimizationLevel: 'disabled',
  });
  try {
    const used = new Set(session.inputNames);
    const feeds = prepared.flatMap(({ one, number }) =>
      one.inputs.flatMap(({ values, dataType: own }, index) => {
        const name = `input ${number} ${index}`;
        if (!used.has(name)) return [];
        const data = runtimeTensor(values, own ?? dataType);
        const fed = new RuntimeTensor(data.dataType as 'float32', data.data as Float32Array, [...data.dims]);
        return [[name, fed] as const];
      }),
    );
    const results = await session.run(Object.fromEntries(feeds));
    return (tensors) => tensors.map(({ name }) => numbersOf(results[name] as RuntimeTensor));
  } finally {
    await session.release();
  }
}

/**
 * Run the random cases of an operator, many in one session: its kernel against the reference, first derivatives against
 * differences of the reference, and products of the Hessian with a random direction against second differences.
 */
export async function checkRandomCases(cases: OperatorCases, count = CASES): Promise<CheckResult> {
  const random = new Random(cases.operator);
  const dataType = cases.dataType ?? 'float32';
  const worst = { forward: 0, first: 0, second: 0 };
  const failures: string[] = [];
  let number = 0;
  while (number < count) {
    const graph = new Graph('random cases');
    const prepared: Prepared[] = [];
    while (number < count && graph.nodes.length < NODES) prepared.push(prepare(cases, graph, number++, random));
    const found = await evaluate(graph, prepared, dataType);
    for (const each of prepared) {
      const { one } = each;
      const compare = (what: keyof typeof worst, actual: number[][], expected: number[][], floor: number): void => {
        const tolerance = (what === 'forward' ? undefined : cases.tolerance?.[what]) ?? TOLERANCES[dataType][what];
        const overall = largest(expected.map(largest));
        expected.forEach((numbers, at) => {
          const scale = Math.max(largest(numbers), 0.1 * overall, floor);
          const off = actual[at]?.length === numbers.length ? distance(actual[at], numbers, scale) : Infinity;
          worst[what] = Math.max(worst[what], off);
          if (off > tolerance)
            failures.push(
              `${what} ${at} of case ${each.number} is off by ${off}: ${rounded(actual[at] ?? [])} instead of ${rounded(numbers)}; ${JSON.stringify(one.settings)}, inputs ${JSON.stringify(one.inputs.map(({ values }) => values.dims))}`,
            );
        });
      };
      const expected = one.reference(...one.inputs.map(({ values }) => values)).map(({ data }) => Array.from(data));
      if (cases.withoutKernel !== true) compare('forward', found(each.outputs), expected, 1);
      compare('first', probed(found(each.first), each.probes), differences(each, 1), 0.01);
      if (each.directions !== undefined)
        compare('second', probed(found(each.second), each.probes), differences(each, 2), 0.01);
    }
  }
  return { cases: number, worst, failures };
}
