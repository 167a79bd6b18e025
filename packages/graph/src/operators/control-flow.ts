import { applyNode, OperatorError, type ApplyOptions } from '../apply.js';
import { readElement } from '../data-type.js';
import { dimEquals, dimMax, dimSubstitute, dimSymbols, dimText, isStatic, symbol, type Dim } from '../dimension.js';
import { currentGraph, insideGraph, type Graph } from '../graph.js';
import type { Attribute } from '../attribute.js';
import type { Node } from '../node.js';
import type { InferenceContext, OperatorSchema, TensorType } from '../schema.js';
import { ShapeError, shapeText, type Shape } from '../shape.js';
import { Tensor } from '../tensor.js';
import { identity } from './creation.js';

const MANY: [number, number] = [1, Number.MAX_SAFE_INTEGER];

const typeOf = ({ dataType, shape }: Tensor): TensorType => ({ dataType, shape });

/** Known value of a scalar condition; undefined when it is decided at run time. */
function knownCondition(condition: Tensor): boolean | undefined {
  if (condition.constant !== undefined) return readElement(condition.constant, 0) !== 0;
  const known = condition.elements?.[0];
  return known !== undefined && isStatic(known) ? known !== 0 : undefined;
}

/** ONNX takes conditions of one element of any rank. */
function checkScalar(context: InferenceContext, value: Tensor | undefined, what: string): void {
  if (value?.shape.some((dim) => isStatic(dim) && dim !== 1) === true)
    context.fail(`${what} ${shapeText(value.shape)} has more than one element`);
}

const IF: OperatorSchema = {
  type: 'If',
  since: 21,
  inputs: [{ name: 'cond', types: ['bool'] }],
  attributes: { then_branch: { kind: 'graph', required: true }, else_branch: { kind: 'graph', required: true } },
  outputs: MANY,
  infer(context) {
    const condition = context.input(0);
    checkScalar(context, condition, 'the condition');
    const branches = [context.node.subgraph('then_branch'), context.node.subgraph('else_branch')] as const;
    const [then, otherwise] = branches;
    for (const branch of branches)
      if (branch.inputs.length > 0)
        context.fail(`the branch "${branch.name}" has inputs`, 'Branches use values of the enclosing graph.');
    if (then.outputs.length !== otherwise.outputs.length)
      context.fail(
        `one branch returns ${then.outputs.length} values, the other ${otherwise.outputs.length}`,
        'Return as many values from both.',
      );
    const known = knownCondition(condition);
    return then.outputs.map((left, index) => {
      const right = otherwise.outputs[index] as Tensor;
      if (left.dataType !== right.dataType)
        context.fail(
          `value ${index} is ${left.dataType} in one branch and ${right.dataType} in the other`,
          'Convert one with cast().',
        );
      if (known !== undefined) return { ...typeOf(known ? left : right), elements: (known ? left : right).elements };
      if (left.rank !== right.rank)
        context.fail(
          `value ${index} is ${shapeText(left.shape)} in one branch and ${shapeText(right.shape)} in the other`,
          'Both branches have to return the same rank, unless the condition is known when the graph is built.',
        );
      return {
        dataType: left.dataType,
        shape: left.shape.map((dim, axis) =>
          dimEquals(dim, right.shape[axis] as Dim) ? dim : context.unknownDim('either'),
        ),
        elements:
          left.elements?.every((element, at) => {
            const other = right.elements?.[at];
            return other !== undefined && dimEquals(element, other);
          }) === true && left.elements.length === right.elements?.length
            ? left.elements
            : undefined,
      };
    });
  },
};

/**
 * What the shapes of a body mean outside of it. A state dimension whose size the body leaves alone keeps its initial
 * size; symbols for sizes that change from iteration to iteration mean nothing outside.
 */
class StateShapes {
  readonly #bindings = new Map<string, Dim>();
  readonly #private = new Set<string>();

  constructor(
    private readonly context: InferenceContext,
    initial: readonly Tensor[],
    private readonly inputs: readonly Tensor[],
    private readonly outputs: readonly Tensor[],
    private readonly fixed: boolean,
  ) {
    initial.forEach((value, index) => {
      this.#check(value, index);
    });
    initial.forEach((value, index) => {
      this.#bind(value, index);
    });
  }

  #check(initial: Tensor, index: number): void {
    const { context } = this;
    const [before, after] = [this.inputs[index] as Tensor, this.outputs[index] as Tensor];
    for (const [value, when] of [
      [before, 'enters the body as'],
      [after, 'leaves the body as'],
    ] as const) {
      if (value.dataType !== initial.dataType)
        context.fail(
          `state ${index} starts as ${initial.dataType} and ${when} ${value.dataType}`,
          'Convert it with cast().',
        );
      if (value.rank !== initial.rank)
        context.fail(
          `state ${index} starts as ${shapeText(initial.shape)} and ${when} ${shapeText(value.shape)}`,
          'Its rank has to stay the same.',
        );
    }
    initial.shape.forEach((dim, axis) => {
      const [entering, leaving] = [before.shape[axis] as Dim, after.shape[axis] as Dim];
      if (isStatic(entering) && !dimEquals(entering, dim)) context.unify(dim, entering, `state ${index}, axis ${axis}`);
      if (isStatic(entering) && isStatic(leaving) && entering !== leaving)
        context.fail(
          `state ${index} enters the body as ${shapeText(before.shape)} and leaves it as ${shapeText(after.shape)}`,
          'Use a symbolic dimension for a size that changes.',
        );
      if (this.fixed) context.unify(entering, leaving, `state ${index}, axis ${axis}: size before and after the body`);
    });
  }

  #bind(initial: Tensor, index: number): void {
    initial.shape.forEach((dim, axis) => {
      const entering = (this.inputs[index] as Tensor).shape[axis] as Dim;
      if (isStatic(entering) || dimEquals(entering, dim)) return;
      const invariant = this.fixed || dimEquals(entering, (this.outputs[index] as Tensor).shape[axis] as Dim);
      if (invariant) this.#bindings.set(dimText(entering), dim);
      else for (const name of dimSymbols(entering)) this.#private.add(name);
    });
  }

  /** Type of state `index` after the last iteration. */
  final(initial: Tensor, index: number): TensorType {
    const [before, after] = [this.inputs[index] as Tensor, this.outputs[index] as Tensor];
    const shape = initial.shape.map((dim, axis) => {
      const entering = before.shape[axis] as Dim;
      if (this.fixed || dimEquals(entering, after.shape[axis] as Dim)) return dim;
      return this.context.unknownDim('state');
    });
    return { dataType: initial.dataType, shape };
  }

  /** Shape of a value that the body returns, seen from outside. */
  outside(shape: Shape): Shape {
    return shape.map((dim) => {
      const bound = dimSubstitute(dim, this.#bindings);
      return [...dimSymbols(bound)].some((name) => this.#private.has(name))
        ? this.context.unknownDim('scanned')
        : bound;
    });
  }
}

function checkCounts(context: InferenceContext, body: Graph, inputs: number, outputs: number): void {
  if (body.inputs.length !== inputs)
    context.fail(`the body "${body.name}" takes ${body.inputs.length} inputs, not ${inputs}`);
  if (body.outputs.length < outputs)
    context.fail(`the body "${body.name}" returns ${body.outputs.length} values; at least ${outputs} are needed`);
}

/** Whether a loop goes on until its count: there is no condition, or it is constantly true. */
export function runsToCount(initial: Tensor | undefined, body: Graph): boolean {
  if (initial !== undefined && knownCondition(initial) !== true) return false;
  let value: Tensor | undefined = body.outputs[0];
  while (value?.producer?.type === 'Identity') value = value.producer.inputs[0];
  return value !== undefined && (value === body.inputs[1] || knownCondition(value) === true);
}

const LOOP: OperatorSchema = {
  type: 'Loop',
  since: 21,
  inputs: [
    { name: 'M', types: ['int64'], optional: true },
    { name: 'cond', types: ['bool'], optional: true },
    { name: 'v_initial', variadic: true },
  ],
  attributes: { body: { kind: 'graph', required: true } },
  outputs: MANY,
  infer(context) {
    const [count, condition] = context.inputs;
    checkScalar(context, count, 'the trip count');
    checkScalar(context, condition, 'the condition');
    const body = context.node.subgraph('body');
    const initial = context.inputs.slice(2).map((_, index) => context.input(index + 2));
    checkCounts(context, body, initial.length + 2, initial.length + 1);
    const [iteration, alive] = body.inputs as [Tensor, Tensor, ...Tensor[]];
    const goesOn = body.outputs[0] as Tensor;
    if (iteration.dataType !== 'int64' || alive.dataType !== 'bool' || goesOn.dataType !== 'bool')
      context.fail(
        `the body takes ${iteration.dataType} and ${alive.dataType} and returns ${goesOn.dataType} first`,
        'A body takes the iteration (int64) and the condition (bool), and returns the condition (bool).',
      );
    checkScalar(context, goesOn, "the body's condition");
    const states = new StateShapes(context, initial, body.inputs.slice(2), body.outputs.slice(1), false);
    const known = context.elements(0)?.[0];
    const trips =
      count !== undefined && known !== undefined && runsToCount(condition, body) ? atLeastZero(known) : undefined;
    const scans = body.outputs.slice(1 + initial.length);
    const length = scans.length === 0 ? 0 : (trips ?? context.unknownDim('trips'));
    return [
      ...initial.map((value, index) => states.final(value, index)),
      ...scans.map(({ dataType, shape }) => ({ dataType, shape: [length, ...states.outside(shape)] })),
    ];
  },
};

const atLeastZero = (count: Dim): Dim => (isStatic(count) ? Math.max(count, 0) : dimMax(count, 0));

const SCAN: OperatorSchema = {
  type: 'Scan',
  since: 21,
  inputs: [{ name: 'initial_state_and_scan_inputs', variadic: true }],
  attributes: {
    body: { kind: 'graph', required: true },
    num_scan_inputs: { kind: 'int', required: true },
    scan_input_axes: { kind: 'ints' },
    scan_input_directions: { kind: 'ints' },
    scan_output_axes: { kind: 'ints' },
    scan_output_directions: { kind: 'ints' },
  },
  outputs: MANY,
  infer(context) {
    const body = context.node.subgraph('body');
    const all = context.inputs.map((_, index) => context.input(index));
    const scanned = context.node.int('num_scan_inputs');
    if (scanned < 1 || scanned > all.length)
      context.fail(`num_scan_inputs is ${scanned} with ${all.length} inputs`, 'At least one input has to be scanned.');
    const stateCount = all.length - scanned;
    checkCounts(context, body, all.length, stateCount);
    const initial = all.slice(0, stateCount);
    const inputs = all.slice(stateCount);
    const inputAxes = scanAxes(
      context,
      'scan_input_axes',
      inputs.map(({ rank }) => rank),
    );
    checkDirections(context, 'scan_input_directions', inputs.length);
    const length = inputs
      .map((value, index) => value.shape[inputAxes[index] as number] as Dim)
      .reduce((left, right) => context.unify(left, right, 'lengths of the scanned inputs'));
    inputs.forEach((value, index) => {
      const slice = body.inputs[stateCount + index] as Tensor;
      const expected = value.shape.filter((_, axis) => axis !== inputAxes[index]);
      if (slice.dataType !== value.dataType || slice.rank !== expected.length)
        context.fail(
          `the body takes ${slice.dataType}${shapeText(slice.shape)} as slice ${index} of ${value.dataType}${shapeText(value.shape)}`,
          'A slice lacks the scanned axis.',
        );
      expected.forEach((dim, axis) => {
        const entering = slice.shape[axis] as Dim;
        if (isStatic(entering)) context.unify(dim, entering, `slice ${index}, axis ${axis}`);
      });
    });
    const states = new StateShapes(context, initial, body.inputs, body.outputs, true);
    const outputs = body.outputs.slice(stateCount);
    const outputAxes = scanAxes(
      context,
      'scan_output_axes',
      outputs.map(({ rank }) => rank + 1),
    );
    checkDirections(context, 'scan_output_directions', outputs.length);
    return [
      ...initial.map((value, index) => states.final(value, index)),
      ...outputs.map(({ dataType, shape }, index) => {
        const stacked = [...states.outside(shape)];
        stacked.splice(outputAxes[index] as number, 0, length);
        return { dataType, shape: stacked };
      }),
    ];
  },
};

/** One axis per scanned value, non-negative; default 0. */
function scanAxes(context: InferenceContext, name: string, ranks: readonly number[]): readonly number[] {
  const axes = context.node.optionalInts(name);
  if (axes !== undefined && axes.length > 0 && axes.length !== ranks.length)
    context.fail(`${name} has ${axes.length} entries, not ${ranks.length}`);
  return ranks.map((rank, index) => {
    const axis = axes?.[index] ?? 0;
    if (axis < -rank || axis >= rank) context.fail(`${name} names axis ${axis} of a value of rank ${rank}`);
    return axis < 0 ? axis + rank : axis;
  });
}

function checkDirections(context: InferenceContext, name: string, count: number): void {
  const directions = context.node.optionalInts(name);
  if (directions === undefined || directions.length === 0) return;
  if (directions.length !== count) context.fail(`${name} has ${directions.length} entries, not ${count}`);
  if (!directions.every((one) => one === 0 || one === 1))
    context.fail(`${name} may hold 0 (forward) and 1 (backward) only`);
}

export const controlFlowSchemas: readonly OperatorSchema[] = [IF, LOOP, SCAN];

/**
 * Types of the inputs of a body, from the operands of its `If`, `Loop` or `Scan` node (files may leave their shapes
 * out). Attributes are needed for `Scan` only.
 */
export function bodyInputTypes(
  type: string,
  inputs: readonly (Tensor | undefined)[],
  attributes: ReadonlyMap<string, Attribute> = new Map(),
): readonly TensorType[] {
  const present = inputs.filter((input): input is Tensor => input !== undefined);
  switch (type) {
    case 'Loop':
      return [
        { dataType: 'int64', shape: [] },
        { dataType: 'bool', shape: [] },
        ...inputs.slice(2).flatMap((input) => (input === undefined ? [] : [typeOf(input)])),
      ];
    case 'Scan': {
      const scanned = Number(attributes.get('num_scan_inputs')?.value ?? present.length);
      const axes = attributes.get('scan_input_axes');
      return present.map((input, index) => {
        const at = index - (present.length - scanned);
        if (at < 0) return typeOf(input);
        const given = Number(axes?.kind === 'ints' ? (axes.value[at] ?? 0) : 0);
        const axis = given < 0 ? given + input.rank : given;
        return { dataType: input.dataType, shape: input.shape.filter((_, position) => position !== axis) };
      });
    }
    default:
      return [];
  }
}

/**
 * Build the body of a `Loop` until the shapes of its state settle: starts from the initial shapes, and gives every
 * dimension that an iteration changes a symbol of its own. `build` may run several times; only its last result counts.
 */
export function settleLoopBody(
  parent: Graph,
  initial: readonly TensorType[],
  build: (states: readonly TensorType[]) => Graph,
): Graph {
  const { assumptions } = parent.root;
  const known = assumptions.length;
  const moving = new Set<string>();
  let states = initial;
  for (;;) {
    const body = build(states);
    const found = moving.size;
    states = states.map((state, index) => {
      const leaving = body.outputs[index + 1]?.shape;
      // Missing values and changes of rank are reported by inference of the node itself.
      if (leaving?.length !== state.shape.length) return state;
      const shape = state.shape.map((dim, axis) => {
        const id = `${index}:${axis}`;
        if (moving.has(id) || dimEquals(dim, leaving[axis] as Dim)) return dim;
        moving.add(id);
        return symbol(parent.root.uniqueName('state'));
      });
      return { dataType: state.dataType, shape };
    });
    if (moving.size === found) return body;
    assumptions.length = known;
  }
}

/** The deepest of the graphs, or the one under construction. */
function enclosingGraph(what: string, values: readonly (Tensor | undefined)[], given: Graph | undefined): Graph {
  let graph = given ?? currentGraph();
  for (const value of values)
    if (value !== undefined && (graph === undefined || !graph.sees(value.graph))) graph = value.graph;
  if (graph === undefined)
    throw new OperatorError(`${what} has no operand that says which graph it belongs to.`, {
      hint: 'Pass { graph }, or make one operand a tensor.',
    });
  return graph;
}

/** Declare what a body returns. ONNX Runtime wants each output to be computed in the body, once. */
function returnFrom(body: Graph, values: readonly Tensor[]): void {
  for (const value of values) {
    const own = value.graph === body && value.producer !== undefined && !body.outputs.includes(value);
    body.output(own ? value : insideGraph(body, () => identity(value)));
  }
}

function inputsOf(body: Graph, types: readonly TensorType[], name: string): readonly Tensor[] {
  return types.map(({ dataType, shape }) => body.input(name, dataType, shape));
}

const outputsOf = (node: Node): readonly Tensor[] => node.outputs as readonly Tensor[];

function expectCount(what: string, values: readonly Tensor[], count: number): void {
  if (values.length !== count)
    throw new OperatorError(`The body of ${what} returns ${values.length} states, not ${count}.`, {
      hint: 'Return the next value of every state, in order.',
    });
}

/** For a node that has to stay in `graph`, under a name of its own. */
export type ControlFlowOptions = Pick<ApplyOptions, 'graph' | 'name'>;

/**
 * The results of one of two branches, by a condition at run time: `cond(flag, () => [a.add(1)], () => [a])`. Branches
 * may use every value visible here and return as many values, of equal types and ranks.
 */
export function cond(
  condition: Tensor,
  then: () => readonly Tensor[],
  otherwise: () => readonly Tensor[],
  options: ControlFlowOptions = {},
): readonly Tensor[] {
  const graph = enclosingGraph('cond()', [condition], options.graph);
  const branch = (name: string, build: () => readonly Tensor[]): Graph => {
    const body = graph.body(name);
    returnFrom(body, insideGraph(body, build));
    return body;
  };
  const branches = { then_branch: branch('then', then), else_branch: branch('else', otherwise) };
  return outputsOf(
    applyNode(IF, [condition], branches, { ...options, graph, outputs: branches.then_branch.outputs.length }),
  );
}

export interface LoopOptions extends ControlFlowOptions {
  /** Most iterations; default: no limit. */
  readonly count?: number | Tensor;
  /** Whether to run the first iteration; default: true. */
  readonly condition?: Tensor | boolean;
  /** Initial values of what one iteration hands to the next. */
  readonly state: readonly Tensor[];
}

export interface LoopStep {
  /** Next value of every state. */
  readonly state: readonly Tensor[];
  /** Values to collect from every iteration. */
  readonly scan?: readonly Tensor[];
  /** Whether to go on (bool scalar); default: as before. */
  readonly condition?: Tensor;
}

/**
 * Repeat a body: `loop({ count: 10, state: [x] }, (iteration, [x]) => ({ state: [x.mul(2)] }))`. Returns the final
 * state and, stacked along a new first axis, what each iteration put into `scan`. The callback may be run more than
 * once: sizes of the state that change from iteration to iteration become symbols of the body.
 */
export function loop(
  options: LoopOptions,
  body: (iteration: Tensor, state: readonly Tensor[]) => LoopStep,
): { readonly state: readonly Tensor[]; readonly scan: readonly Tensor[] } {
  const { count, condition, state } = options;
  const operands = [count, condition].map((operand) => (operand instanceof Tensor ? operand : undefined));
  const graph = enclosingGraph('loop()', [...operands, ...state], options.graph);
  if (count === undefined && condition === undefined)
    throw new OperatorError('loop() has neither a count nor a condition and would never end.', {
      hint: 'Give { count } or { condition }.',
    });
  const built = settleLoopBody(graph, state.map(typeOf), (types) => {
    const inner = graph.body('loop');
    const iteration = inner.input('iteration', 'int64', []);
    const alive = inner.input('alive', 'bool', []);
    const step = insideGraph(inner, () => body(iteration, inputsOf(inner, types, 'state')));
    expectCount('loop()', step.state, state.length);
    returnFrom(inner, [step.condition ?? alive, ...step.state, ...(step.scan ?? [])]);
    return inner;
  });
  const trips = typeof count === 'number' ? graph.constant(count, 'int64') : count;
  const first = typeof condition === 'boolean' ? graph.constant(Number(condition), 'bool') : condition;
  const node = applyNode(
    LOOP,
    [trips, first, ...state],
    { body: built },
    { name: options.name, graph, outputs: built.outputs.length - 1 },
  );
  return { state: outputsOf(node).slice(0, state.length), scan: outputsOf(node).slice(state.length) };
}

export type ScanDirection = 'forward' | 'backward';

export interface ScanOptions extends ControlFlowOptions {
  /** Initial values of what one step hands to the next; their shapes stay the same. Default: none. */
  readonly state?: readonly Tensor[];
  /** Sequences of equal length; the body sees one slice of each at a time. */
  readonly inputs: readonly Tensor[];
  /** Axis that is scanned, per input; default: 0. */
  readonly inputAxes?: readonly number[];
  /** Default: forward. */
  readonly inputDirections?: readonly ScanDirection[];
  /** Axis along which results are stacked, per output; default: 0. */
  readonly outputAxes?: readonly number[];
  /** Backward puts the first result last. Default: forward. */
  readonly outputDirections?: readonly ScanDirection[];
}

export interface ScanStep {
  readonly state?: readonly Tensor[];
  readonly outputs?: readonly Tensor[];
}

const directions = (values: readonly ScanDirection[] | undefined): readonly number[] | undefined =>
  values?.map((value) => (value === 'backward' ? 1 : 0));

/**
 * Run a body over the slices of sequences: `scan({ state: [h], inputs: [x] }, ([h], [x]) => ({ state: [f(h, x)],
 * outputs: [h] }))`. Returns the final state and the stacked outputs.
 */
export function scan(
  options: ScanOptions,
  body: (state: readonly Tensor[], slices: readonly Tensor[]) => ScanStep,
): { readonly state: readonly Tensor[]; readonly outputs: readonly Tensor[] } {
  const { state = [], inputs, inputAxes = [] } = options;
  const graph = enclosingGraph('scan()', [...state, ...inputs], options.graph);
  const inner = graph.body('scan');
  const slices = inputs.map(({ dataType, shape, rank }, index): TensorType => {
    const axis = inputAxes[index] ?? 0;
    if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
      throw new ShapeError(`scan() cannot scan axis ${axis} of input ${index}, which is ${shapeText(shape)}.`);
    return { dataType, shape: shape.filter((_, position) => position !== (axis < 0 ? axis + rank : axis)) };
  });
  const step = insideGraph(inner, () =>
    body(inputsOf(inner, state.map(typeOf), 'state'), inputsOf(inner, slices, 'slice')),
  );
  const next = step.state ?? [];
  expectCount('scan()', next, state.length);
  returnFrom(inner, [...next, ...(step.outputs ?? [])]);
  const node = applyNode(
    SCAN,
    [...state, ...inputs],
    {
      body: inner,
      num_scan_inputs: inputs.length,
      scan_input_axes: options.inputAxes,
      scan_input_directions: directions(options.inputDirections),
      scan_output_axes: options.outputAxes,
      scan_output_directions: directions(options.outputDirections),
    },
    { name: options.name, graph, outputs: inner.outputs.length },
  );
  return { state: outputsOf(node).slice(0, state.length), outputs: outputsOf(node).slice(state.length) };
}
