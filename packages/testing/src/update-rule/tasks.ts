import { defineModel, RandomStream, type Model, type ParameterRole, type Reward, type Sampler } from '@updraft/core';
import { elementCount, sizeOf, type Tensor, type TensorData } from '@updraft/graph';
import type { Named } from '../kit/compare.js';
import type { Task } from './trace-rule.js';

/** A parameter that a rule is tried on. */
export interface TaskParameter {
  readonly shape: readonly number[];
  readonly role?: ParameterRole;
}
export type TaskParameters = Readonly<Record<string, TaskParameter>>;

/** Two matrices of one shape, a vector and a scalar: enough to mix parameters up. */
export const STANDARD_PARAMETERS: TaskParameters = {
  'first.weight': { shape: [3, 2], role: 'weight' },
  'second.weight': { shape: [3, 2], role: 'weight' },
  'second.bias': { shape: [2], role: 'bias' },
  temperature: { shape: [] },
};

/** Standard normal values of given shapes; each depends on its name and `key` alone. */
export const normalValues = (parameters: TaskParameters, key: string, factor = 1): Record<string, TensorData> =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, { shape }]) => {
      const data = new Float32Array(elementCount(shape));
      RandomStream.fromSeed(1).split(key).split(name).fillNormal(data);
      return [name, { dataType: 'float32', dims: [...shape], data: data.map((value) => value * factor) }];
    }),
  );

/** A model whose outputs are its parameters. */
const parameterModel = (parameters: TaskParameters): Model =>
  defineModel({
    name: 'parameters',
    inputs: {},
    build: (scope) =>
      Object.fromEntries(
        Object.entries(parameters).map(([name, { shape, role }]) => [
          name,
          scope.parameter(name, shape, {
            initialize: () => new Float32Array(elementCount(shape)),
            ...(role === undefined ? {} : { role }),
          }),
        ]),
      ),
  });

const total = (terms: readonly Tensor[]): Tensor => terms.reduce((sum, term) => sum.add(term));

/** Batches from a list, one per step; the position is the state. */
function listSampler(columns: Sampler['columns'], batches: readonly Named[], size: number): Sampler {
  let position = 0;
  return {
    columns,
    draw() {
      const values = batches[position];
      if (values === undefined) return undefined;
      position++;
      return { columns: values, size };
    },
    state: () => position,
    restore(state) {
      position = Number(state);
    },
  };
}

/** Columns of the gradients with drawn targets, beside those that bear the names of the parameters. */
const SAMPLED = 'sampled/';

const innerProducts: Reward['objective'] = ({ batch, forward }) => {
  const values = forward();
  const products = (prefix: string): Tensor =>
    total(
      Object.entries(values).map(([name, value]) => value.mul((batch[prefix + name] ?? batch[name]) as Tensor).sum()),
    );
  const loss = products('');
  return { loss, sampled: () => ({ loss: products(SAMPLED), predictions: loss.graph.constant(1) }) };
};

/**
 * A task whose loss is Σ⟨parameter, column⟩: the gradients of step t are the columns of the batch t.
 *
 * @param sampled Gradients with targets drawn from the model, one element per step; default: the same gradients.
 */
export function givenGradients(
  parameters: TaskParameters,
  initial: Named,
  gradients: readonly Named[],
  sampled?: readonly Named[],
): Task {
  const columns = Object.fromEntries(
    ['', ...(sampled === undefined ? [] : [SAMPLED])].flatMap((prefix) =>
      Object.entries(parameters).map(([name, { shape }]) => [prefix + name, { dataType: 'float32' as const, shape }]),
    ),
  );
  const batches = gradients.map((step, index) => ({
    ...step,
    ...Object.fromEntries(Object.entries(sampled?.[index] ?? {}).map(([name, value]) => [SAMPLED + name, value])),
  }));
  return {
    model: parameterModel(parameters),
    reward: { objective: innerProducts },
    sampler: listSampler(columns, batches, 1),
    initial,
  };
}

/** Curvatures of the bowl, in turn over the parameters: differently steep, so that one learning rate must do for all. */
const CURVATURES = [1, 0.5, 2];
const ROWS = 16;

/**
 * Noisy bowls: example r loses a_r·½Σ c‖θ − θ*‖² + b_r·Σ⟨θ, u⟩, the batch the mean of its examples. Every batch of `size`
 * takes the next rows of a fixed list, so that batches of 4 and of 8 see the same examples in the same order.
 *
 * @param noise 0 for the plain parabola.
 */
export function bowlTask(parameters: TaskParameters, size: number, batches: number, noise = 1): Task {
  const names = Object.keys(parameters);
  const target = normalValues(parameters, 'target');
  const direction = normalValues(parameters, 'direction');
  const random = RandomStream.fromSeed(2).split('rows');
  const rows = Array.from({ length: ROWS }, () => [1 + noise * (random.uniform() - 0.5), noise * random.normal()]);
  const columns = Array.from({ length: batches }, (_, batch): Named => {
    const drawn = Array.from({ length: size }, (_, row) => rows[(batch * size + row) % ROWS] as number[]);
    const column = (at: number): TensorData => ({
      dataType: 'float32',
      dims: [size],
      data: Float32Array.from(drawn, (row) => row[at] as number),
    });
    return { curvature: column(0), slope: column(1) };
  });
  return {
    model: parameterModel(parameters),
    sampler: listSampler(
      {
        curvature: { dataType: 'float32', shape: ['batch'] },
        slope: { dataType: 'float32', shape: ['batch'] },
      },
      columns,
      size,
    ),
    reward: {
      objective({ batch, forward }) {
        const values = forward();
        const { graph } = batch['curvature'] as Tensor;
        const constant = (data: TensorData): Tensor => graph.constant(data);
        const bowl = total(
          names.map((name, index) =>
            (values[name] as Tensor)
              .sub(constant(target[name] as TensorData))
              .square()
              .sum()
              .mul((CURVATURES[index % CURVATURES.length] as number) / 2),
          ),
        );
        const slope = total(
          names.map((name) => (values[name] as Tensor).mul(constant(direction[name] as TensorData)).sum()),
        );
        const losses = (batch['curvature'] as Tensor).mul(bowl).add((batch['slope'] as Tensor).mul(slope));
        const loss = losses.mean();
        return {
          loss,
          perExample: { loss: losses },
          sampled: () => ({ loss, predictions: sizeOf(losses).cast('float32') }),
        };
      },
    },
    initial: normalValues(parameters, 'start'),
  };
}

/** Batches of a single number that no loss looks at, for tasks without data. */
const ticks = (steps: number): Sampler =>
  listSampler(
    { tick: { dataType: 'float32', shape: ['batch'] } },
    Array.from({ length: steps }, () => ({
      tick: { dataType: 'float32', dims: [1], data: Float32Array.of(0) } as const,
    })),
    1,
  );

/** Rosenbrock's valley (1 − x)² + 100(y − x²)², from (−1.2, 1); its minimum 0 lies at (1, 1). */
export function rosenbrockTask(shape: readonly [2] | readonly [1, 2] | readonly [2, 1], steps: number): Task {
  return {
    model: parameterModel({ point: { shape, role: shape.length === 1 ? 'other' : 'weight' } }),
    sampler: ticks(steps),
    reward: {
      objective({ batch, forward }) {
        const point = (forward()['point'] as Tensor).reshape([2]);
        const x = point.slice([0], [1], [0]).sum();
        const y = point.slice([1], [2], [0]).sum();
        const valley = x.neg().add(1).square().add(y.sub(x.square()).square().mul(100));
        const loss = valley.add((batch['tick'] as Tensor).mean());
        return { loss, sampled: () => ({ loss, predictions: loss.graph.constant(1) }) };
      },
    },
    initial: { point: { dataType: 'float32', dims: [...shape], data: Float32Array.of(-1.2, 1) } },
  };
}

/** A task whose loss, and with it every gradient, is multiplied by a factor of the step. */
export function scaledTask(task: Task, factor: (step: number) => number): Task {
  const { objective } = task.reward;
  if (objective === undefined) return task;
  return {
    ...task,
    reward: {
      objective(context) {
        const built = objective.call(task.reward, context);
        const scale = context.scalar('contract-kit/factor', factor);
        const losses = built.perExample?.['loss'];
        return {
          ...built,
          loss: built.loss.mul(scale),
          ...(losses === undefined ? {} : { perExample: { ...built.perExample, loss: losses.mul(scale) } }),
        };
      },
    },
  };
}
