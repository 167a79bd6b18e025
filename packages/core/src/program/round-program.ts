import { Graph, labelled, type Dim, type Tensor } from '@updraft/graph';
import type { ClientRule, RoundChange } from '../contracts/client-rule.js';
import type { StateSpec, StateSpecs, SymbolicState } from '../contracts/update-rule.js';
import { CoreError } from '../errors.js';
import type { ParameterSpec } from '../module/parameter.js';
import { flattenTree, mapTree, mapValues, type NamedValues } from '../tree.js';
import type { ValueSpec } from './aggregation.js';
import { checkReplacement, publish } from './publish.js';
import { isStateSpec, isTensor } from './step-program.js';
import { PREFIX, Tracer, type NoiseInput, type ScalarInput } from './tracer.js';

/** Prefix of the inputs that hold the model as received, and of the outputs that are sent. */
export const RECEIVED = 'received/';
const UPLOAD = 'upload/';

/** What a client rule does at a boundary of a round, as a graph on its resident state. */
export interface RoundProgram {
  readonly graph: Graph;
  readonly updates: ReadonlyMap<string, string>;
  readonly reads: readonly string[];
  readonly scalars: readonly ScalarInput[];
  readonly noises: readonly (NoiseInput & { readonly input: string; readonly shape: readonly Dim[] })[];
  readonly batch: readonly string[];
  /** Parameters whose received value is read. */
  readonly received: readonly string[];
  /** Output names of what is sent, and their form. */
  readonly uploads: ReadonlyMap<string, { readonly output: string; readonly spec: ValueSpec }>;
}

/** Build `roundStart` or `roundEnd` of a rule; undefined where it has none. */
export function buildRoundProgram(
  rule: ClientRule,
  boundary: 'roundStart' | 'roundEnd',
  specs: NamedValues<ParameterSpec>,
  stateSpecs: StateSpecs,
): RoundProgram | undefined {
  if (rule[boundary] === undefined) return undefined;
  const graph = new Graph(boundary);
  const tracer = new Tracer(graph);
  const params = mapValues(specs, (spec) => tracer.parameter(spec));
  const received = new Map<string, Tensor>();
  const state = mapTree<StateSpec, Tensor>(stateSpecs, isStateSpec, ({ dataType, shape }, path) =>
    graph.input(PREFIX.state + path, dataType, shape),
  ) as SymbolicState<StateSpecs>;
  const states = new Map(flattenTree<Tensor>(state, isTensor));
  const change: RoundChange = labelled(boundary, () =>
    // Called on the rule, which may be an instance of a class.
    (rule as Required<ClientRule>)[boundary]({
      params,
      // Most rules keep what they need of it: what is not read is no input.
      received: lazily(specs, (spec) => {
        const tensor = graph.input(RECEIVED + spec.name, spec.dataType, spec.shape);
        received.set(spec.name, tensor);
        return tensor;
      }),
      specs,
      state,
      get round() {
        return tracer.scalar('round', roundNumber);
      },
      scalar: (name, value) => tracer.scalar(name, value),
      noise: (name, shape, distribution = 'normal') => tracer.noise(name, shape, distribution),
    }),
  );
  const updates = new Map<string, string>();
  const replace = (input: Tensor | undefined, value: Tensor, what: string): void => {
    if (input === undefined)
      throw new CoreError('update-rule', `${boundary} of the client rule returned the ${what}, which does not exist.`, {
        hint: `There are the parameters ${Object.keys(params).join(', ')} and the state ${[...states.keys()].join(', ') || 'none'}.`,
      });
    checkReplacement(input, value, what);
    if (value !== input) updates.set(input.name, publish(graph, value, PREFIX.next + input.name));
  };
  for (const [name, value] of Object.entries(change.params ?? {})) replace(params[name], value, `parameter "${name}"`);
  for (const [path, value] of flattenTree<Tensor>(change.state ?? {}, isTensor))
    replace(states.get(path), value, `state "${path}"`);
  if (boundary === 'roundStart' && Object.keys(change.upload ?? {}).length > 0)
    throw new CoreError('update-rule', 'The client rule sends something at the start of a round.', {
      hint: 'Return uploads from roundEnd.',
    });
  const uploads = new Map(
    Object.entries(change.upload ?? {}).map(([name, value]) => [
      name,
      {
        output: publish(graph, value, UPLOAD + name),
        spec: { dataType: value.dataType, shape: value.shape },
      },
    ]),
  );
  return {
    graph,
    updates,
    reads: [...Object.values(params), ...states.values()].map(({ name }) => name),
    scalars: [...tracer.scalars.values()],
    noises: [...tracer.noises.values()].map((noise) => ({
      ...noise,
      input: noise.tensor.name,
      shape: noise.tensor.shape,
    })),
    batch: [],
    received: [...received.keys()],
    uploads,
  };
}

const roundNumber = (round: number): number => round;

/** Named values that are made when they are first read. */
function lazily<A, B>(values: NamedValues<A>, make: (value: A) => B): NamedValues<B> {
  const made: Record<string, B> = {};
  for (const [name, value] of Object.entries(values)) {
    let known: B | undefined;
    Object.defineProperty(made, name, { enumerable: true, get: () => (known ??= make(value)) });
  }
  return made;
}
