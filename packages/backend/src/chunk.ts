import { dimSymbols, Graph, inlineGraph, scan, symbol, UpdraftError, type Tensor } from '@updraft/graph';

export interface ChunkOptions {
  /** Resident input name → the output that replaces it, as for `compile`. */
  readonly updates: ReadonlyMap<string, string>;
  /** Inputs that stay the same for all steps of a chunk: read-only parameters, a fixed learning rate. */
  readonly shared?: readonly string[];
  /** Name of the leading dimension of what differs from step to step, which the program must not use; default `steps`. */
  readonly steps?: string;
}

/**
 * A step program as one program of many steps, for devices whose outputs return to the host: the state then travels once
 * per chunk instead of once per step. Inputs that are neither updated nor shared get a leading dimension of the steps,
 * as do all outputs that update nothing (the losses of the chunk, in order). Names stay, so that the same `resident` and
 * `updates` compile the result.
 *
 * The body holds the nodes of the program as they are, so that the numbers are those of single steps.
 *
 * @throws UpdraftError when `updates` or `shared` name what the graph does not have, nothing is left to step over, or the
 * program has a size named like `steps`.
 */
export function chunkSteps(source: Graph, { updates, shared = [], steps = 'steps' }: ChunkOptions): Graph {
  const find = (values: readonly Tensor[], name: string, what: string): Tensor => {
    const found = values.find((value) => value.name === name);
    if (found === undefined)
      throw new UpdraftError('graph', `The program "${source.name}" has no ${what} "${name}".`, {
        hint: `It has: ${values.map((value) => value.name).join(', ')}.`,
      });
    return found;
  };
  const states = [...updates].map(([input, output]) => ({
    input: find(source.inputs, input, 'input'),
    output: find(source.outputs, output, 'output'),
  }));
  const fixed = shared.map((name) => find(source.inputs, name, 'input'));
  const stepped = source.inputs.filter((input) => !updates.has(input.name) && !fixed.includes(input));
  if (stepped.length === 0)
    throw new UpdraftError('graph', `Every input of the program "${source.name}" is state or shared.`, {
      hint: 'A chunk needs an input with a value per step: it gives their number.',
    });
  if (source.inputs.some(({ shape }) => shape.some((dim) => dimSymbols(dim).has(steps))))
    throw new UpdraftError('graph', `The program "${source.name}" already has a size named "${steps}".`, {
      hint: 'Name the dimension of the steps otherwise (option "steps").',
    });
  const replaced = new Set(states.map(({ output }) => output));
  const metrics = source.outputs.filter((output) => !replaced.has(output));

  const chunk = new Graph(`${source.name}/chunk`);
  // In the order of the source: callers may feed by position.
  const made = new Map(
    source.inputs.map((input) => {
      const shape = stepped.includes(input) ? [symbol(steps), ...input.shape] : input.shape;
      return [input, chunk.input(input.name, input.dataType, shape)];
    }),
  );
  // The body shares the table of names: those of the outputs are taken before it gets them.
  for (const { name } of source.outputs)
    if (chunk.uniqueName(name) !== name)
      throw new UpdraftError('graph', `The output "${name}" of the program "${source.name}" is one of its inputs.`, {
        hint: 'Give out a copy of it: identity().',
      });
  const outer = (input: Tensor): Tensor => made.get(input) as Tensor;
  const result = scan(
    { graph: chunk, state: states.map(({ input }) => outer(input)), inputs: stepped.map(outer) },
    (state, slices) => {
      const given = new Map(fixed.map((input) => [input.name, outer(input)]));
      states.forEach(({ input }, index) => given.set(input.name, state[index] as Tensor));
      stepped.forEach((input, index) => given.set(input.name, slices[index] as Tensor));
      const body = (state[0] ?? (slices[0] as Tensor)).graph;
      const results = inlineGraph(source, given, body);
      const of = (output: Tensor): Tensor => results[source.outputs.indexOf(output)] as Tensor;
      return { state: states.map(({ output }) => of(output)), outputs: metrics.map(of) };
    },
  );
  const publish = (output: Tensor, value: Tensor): void => {
    value.name = output.name;
    made.set(output, value);
  };
  states.forEach(({ output }, index) => {
    publish(output, result.state[index] as Tensor);
  });
  metrics.forEach((output, index) => {
    publish(output, result.outputs[index] as Tensor);
  });
  for (const output of source.outputs) chunk.output(made.get(output) as Tensor);
  return chunk;
}
