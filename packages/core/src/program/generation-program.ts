import { Graph, labelled, type DataType, type Dim, type Tensor } from '@updraft/graph';
import type { GenerationSampler } from '../contracts/generation-sampler.js';
import type { StateSpec, StateSpecs, SymbolicState } from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';
import type { Model } from '../module/module.js';
import type { ParameterSpec, VariableSpec } from '../module/parameter.js';
import { Scope, type NoiseDistribution, type ScopeProvider } from '../module/scope.js';
import { didYouMean } from '../names.js';
import { flattenTree, mapTree, mapValues, type NamedValues } from '../tree.js';
import type { ValueSpec } from './aggregation.js';
import { modelInputs } from './objective.js';
import { checkReplacement, publish } from './publish.js';
import { isStateSpec, isTensor } from './step-program.js';
import { PREFIX, Tracer, type NoiseInput, type ScalarInput } from './tracer.js';

/** Prefix of the conditioning inputs of a generation step, and of what it shows. */
export const INPUT = 'input/';
const OUTPUT = 'output/';
const FINISHED = 'finished';

/** Everything that decides what a generation step computes. */
export interface GenerationProgramSource {
  readonly models: NamedValues<Model>;
  readonly sampler: GenerationSampler;
  readonly inputs: NamedValues<ValueSpec>;
  readonly state: StateSpecs;
  readonly phase: string;
}

/** One step of a generation as a graph. */
export interface GenerationProgram {
  readonly graph: Graph;
  readonly updates: ReadonlyMap<string, string>;
  readonly reads: readonly string[];
  readonly scalars: readonly ScalarInput[];
  readonly noises: readonly (NoiseInput & { readonly input: string; readonly shape: readonly Dim[] })[];
  readonly batch: readonly string[];
  /** Output names by public name. */
  readonly outputs: ReadonlyMap<string, string>;
  readonly finished: string | undefined;
}

/** Name under which a parameter or variable of a model is resident. */
export const modelValue = (model: string, name: string): string => `${PREFIX.param}${model}/${name}`;

/** Puts the values of one of several models into a step, in inference form. */
class ModelProvider implements ScopeProvider {
  constructor(
    readonly tracer: Tracer,
    readonly model: string,
    readonly values: Map<string, Tensor>,
  ) {}
  get graph(): Graph {
    return this.tracer.graph;
  }
  #value(name: string, dataType: DataType, shape: readonly number[]): Tensor {
    const key = modelValue(this.model, name);
    const known = this.values.get(key);
    if (known !== undefined) return known;
    const tensor = this.graph.input(key, dataType, shape);
    this.values.set(key, tensor);
    return tensor;
  }
  parameter({ name, dataType, shape }: ParameterSpec): Tensor {
    return this.#value(name, dataType, shape);
  }
  variable({ name, initial }: VariableSpec): Tensor {
    return this.#value(name, initial.dataType, initial.dims);
  }
  assign(): void {
    // A model that generates does not learn.
  }
  noise(name: string, shape: readonly Dim[], distribution: NoiseDistribution, dataType: DataType): Tensor {
    return this.tracer.noise(`${this.model}/${name}`, shape, distribution, dataType);
  }
}

/** Build the program of one phase. */
export function buildGenerationProgram(source: GenerationProgramSource): GenerationProgram {
  const graph = new Graph('generate');
  const tracer = new Tracer(graph);
  const values = new Map<string, Tensor>();
  const inputs = mapValues(source.inputs, ({ dataType, shape }, name) => graph.input(INPUT + name, dataType, shape));
  const state = mapTree<StateSpec, Tensor>(source.state, isStateSpec, ({ dataType, shape }, path) =>
    graph.input(PREFIX.state + path, dataType, shape),
  ) as SymbolicState<StateSpecs>;
  const names = Object.keys(source.models);
  const step = labelled('generate', () =>
    source.sampler.step({
      state,
      inputs,
      get step() {
        return tracer.scalar('step', stepNumber);
      },
      phase: source.phase,
      forward: (given, name = names.length === 1 ? (names[0] as string) : '') => {
        const model = Object.hasOwn(source.models, name) ? source.models[name] : undefined;
        if (model === undefined)
          throw new CoreError(
            'generation',
            name === '' ? 'It is not said which model to run.' : `There is no model "${name}".`,
            {
              hint: `There are: ${names.join(', ') || 'none'}${name === '' ? '' : `; ${didYouMean(name, names)}`}.`,
            },
          );
        return labelled(name, () =>
          model.build(new Scope(new ModelProvider(tracer, name, values), false), modelInputs(model, given)),
        );
      },
      scalar: (name, value) => tracer.scalar(name, value),
      noise: (name, shape, distribution = 'normal') => tracer.noise(name, shape, distribution),
    }),
  );
  const declared = new Map(flattenTree<Tensor>(state, isTensor));
  const updates = new Map<string, string>();
  for (const [path, value] of flattenTree<Tensor>(step.state, isTensor)) {
    const input = declared.get(path);
    if (input === undefined)
      throw new CoreError('generation', `The sampler returned a state "${path}" that init did not declare.`, {
        hint: `Declared: ${[...declared.keys()].join(', ') || 'none'}.`,
      });
    checkReplacement(input, value, `state "${path}"`, 'generation');
    if (value !== input) updates.set(input.name, publish(graph, value, PREFIX.next + input.name));
  }
  const finished =
    step.finished === undefined ? undefined : publish(graph, step.finished.cast('bool').cast('uint8'), FINISHED);
  return {
    graph,
    updates,
    reads: [
      ...inputsOf(inputs),
      ...inputsOf(Object.fromEntries(declared)),
      ...[...values.values()].map(({ name }) => name),
    ],
    scalars: [...tracer.scalars.values()],
    noises: [...tracer.noises.values()].map((noise) => ({
      ...noise,
      input: noise.tensor.name,
      shape: noise.tensor.shape,
    })),
    batch: [],
    outputs: new Map(
      Object.entries(step.outputs ?? {}).map(([name, value]) => [name, publish(graph, value, OUTPUT + name)]),
    ),
    finished,
  };
}

const stepNumber = (step: number): number => step;
const inputsOf = (values: NamedValues<Tensor>): string[] => Object.values(values).map(({ name }) => name);
