import { gradients } from '@updraft/autodiff';
import type { Backend } from '@updraft/backend';
import {
  bindShape,
  bindSizes,
  buildObjective,
  defineModel,
  fillNoise,
  RandomStream,
  Tracer,
  type InputSpec,
  type Model,
  type Reward,
} from '@updraft/core';
import { emptyTensor, Graph, isFloat, readElement, type Tensor, type TensorData } from '@updraft/graph';
import { copyAll, type Named } from '../kit/compare.js';

export type Columns = Readonly<Record<string, InputSpec>>;

/** What a reward made of a batch. */
export interface Evaluated {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly perExample: Named;
  /** Of the loss, with respect to every float leaf: outputs of the model, or its parameters. */
  readonly gradients: Named;
}

export interface RewardProgramSettings {
  readonly backend: Backend;
  readonly reward: Reward;
  /** Batch columns; a string names a symbolic size. */
  readonly columns: Columns;
  /** Outputs of the model, which are given; or a model of its own. */
  readonly outputs: Columns;
  readonly model?: Model | undefined;
  readonly training: boolean;
  readonly differentiate: boolean;
  readonly seed?: number;
}

/** A reward compiled for batches of the declared sizes. */
export interface RewardProgram {
  /** @param values Columns, and outputs of the model or its parameters, by name. */
  evaluate(batch: Named, leaves: Named, step?: number): Promise<Evaluated>;
  /** First values of the parameters of a model of its own. */
  readonly parameters: Named;
  dispose(): Promise<void>;
}

const OUTPUT = 'model/';
/** A model that gives back what it is fed. */
const passThrough = (outputs: Columns): Model =>
  defineModel({
    name: 'given-outputs',
    inputs: Object.fromEntries(Object.entries(outputs).map(([name, spec]) => [OUTPUT + name, spec])),
    build: (_, inputs) =>
      Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name.slice(OUTPUT.length), value])),
  });

/**
 * Build and compile the objective of a reward, as `train` and `evaluate` do.
 *
 * @throws CoreError, UpdraftError for what does not fit together.
 */
export async function rewardProgram(settings: RewardProgramSettings): Promise<RewardProgram> {
  const { backend, reward, columns, outputs, training, differentiate, seed = 0 } = settings;
  const graph = new Graph('reward');
  const tracer = new Tracer(graph);
  const model = settings.model ?? passThrough(outputs);
  const given = settings.model === undefined ? model.inputs : {};
  const objective = buildObjective({ model, reward, columns: { ...columns, ...given }, training }, tracer);
  const publish = (value: Tensor, name: string): void => {
    graph.output(value.producer === undefined || graph.outputs.includes(value) ? value.identity() : value, name);
  };
  publish(objective.loss, 'loss');
  for (const [name, value] of Object.entries(objective.metrics ?? {})) publish(value, `metric/${name}`);
  for (const [name, value] of Object.entries(objective.perExample ?? {})) publish(value, `example/${name}`);
  const leaves: [string, Tensor][] =
    settings.model === undefined
      ? Object.keys(outputs).map((name) => [name, tracer.column(OUTPUT + name, outputs[name] as InputSpec)])
      : [...tracer.params].map(([name, { tensor }]) => [name, tensor]);
  const floats = leaves.filter(([, value]) => isFloat(value.dataType));
  if (differentiate)
    gradients(
      objective.loss,
      floats.map(([, value]) => value),
    ).forEach((gradient, index) => {
      publish(gradient, `gradient/${floats[index]?.[0] ?? ''}`);
    });
  const program = await backend.compile(graph);
  const needed = new Set(program.inputs.map(({ name }) => name));
  const place = new Map(leaves.map(([name, value]) => [name, value.name]));
  return {
    parameters: Object.fromEntries(
      [...tracer.params].map(([name, { spec }]) => [
        name,
        {
          dataType: spec.dataType,
          dims: spec.shape,
          data: spec.initialize(spec.shape, RandomStream.fromSeed(seed).split('parameters').split(name)),
        } as TensorData,
      ]),
    ),
    async evaluate(batch, values, step = 1) {
      const feeds: Record<string, TensorData> = {};
      for (const [name, value] of Object.entries(batch)) feeds[`batch/${name}`] = value;
      for (const [name, value] of Object.entries(values)) feeds[place.get(name) ?? name] = value;
      for (const [name, { spec }] of tracer.variables) feeds[`variable/${name}`] = spec.initial;
      for (const { tensor, at } of tracer.scalars.values())
        feeds[tensor.name] = { dataType: 'float32', dims: [], data: Float32Array.of(at(step)) };
      // Columns and given outputs alike bind the sizes of noise.
      const sizes = bindSizes(
        { ...columns, ...(settings.model === undefined ? outputs : {}) },
        { ...batch, ...values },
      );
      for (const { name, tensor, distribution } of tracer.noises.values()) {
        const value = emptyTensor('float32', bindShape(tensor.shape, sizes, `the noise "${name}"`));
        fillNoise(value.data, distribution, RandomStream.fromSeed(seed).split('noise').split(name).split(String(step)));
        feeds[tensor.name] = value;
      }
      const found = copyAll(
        await program.run(Object.fromEntries(Object.entries(feeds).filter(([name]) => needed.has(name)))),
      );
      const under = (prefix: string): Record<string, TensorData> =>
        Object.fromEntries(
          Object.entries(found)
            .filter(([name]) => name.startsWith(prefix))
            .map(([name, value]) => [name.slice(prefix.length), value]),
        );
      return {
        loss: readElement(found['loss'] as TensorData, 0),
        metrics: Object.fromEntries(
          Object.entries(under('metric/')).map(([name, value]) => [name, readElement(value, 0)]),
        ),
        perExample: under('example/'),
        gradients: under('gradient/'),
      };
    },
    dispose: () => program.dispose(),
  };
}

/** The columns with every symbolic size bound to a number. */
export const boundColumns = (columns: Columns, sizes: Readonly<Record<string, number>>): Columns =>
  Object.fromEntries(
    Object.entries(columns).map(([name, spec]) => [
      name,
      { ...spec, shape: spec.shape.map((dim) => (typeof dim === 'string' ? (sizes[dim] ?? dim) : dim)) },
    ]),
  );
