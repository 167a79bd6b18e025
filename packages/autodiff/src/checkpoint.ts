import {
  cond,
  currentGraph,
  emptyTensor,
  insideGraph,
  isFloat,
  isStaticShape,
  less,
  not,
  or,
  slice,
  UpdraftError,
  type Graph,
  type Tensor,
} from '@updraft/graph';
import { randomNode } from './randomness.js';

/**
 * True whatever the value, in a way that no optimiser sees through: branches on it stay branches. Reads one element.
 */
function opaqueTruth(value: Tensor): Tensor {
  const numbers = isFloat(value.dataType) ? value : value.cast('float32');
  // The sum over no elements is 0, so that empty tensors have a condition too.
  const first = (numbers.rank === 0 ? numbers : slice(numbers.reshape([-1]), [0], [1])).sum();
  const negative = less(first, 0);
  return or(negative, not(negative));
}

/**
 * Computes `build(...inputs)` without keeping its intermediate results for the backward pass, which computes them again
 * from `inputs` (Chen et al. 2016): memory for time. Use it on blocks whose inputs and outputs are small next to what
 * happens inside; the block may use other values too (parameters).
 *
 * The block becomes the branch of an `If` whose condition is true at run time only, and its gradient a branch of a
 * second one. What happens in a branch is freed when it ends, and runtimes do not merge equal computations of different
 * branches, so the second computation really takes place, and not before its gradient is there.
 *
 * @throws UpdraftError when the block draws random numbers, which would differ the second time.
 */
export function checkpoint<T extends readonly Tensor[]>(
  build: (...inputs: T) => readonly Tensor[],
  inputs: T,
): Tensor[];
export function checkpoint<T extends readonly Tensor[]>(build: (...inputs: T) => Tensor, inputs: T): Tensor;
export function checkpoint<T extends readonly Tensor[]>(
  build: (...inputs: T) => Tensor | readonly Tensor[],
  inputs: T,
): Tensor | Tensor[] {
  const [first] = inputs;
  if (first === undefined)
    throw new UpdraftError('autodiff', 'checkpoint() was given no inputs.', {
      hint: 'Pass the values that the block starts from.',
    });
  let single = false;
  const block = (): readonly Tensor[] => {
    const result = build(...inputs);
    single = !Array.isArray(result);
    return single ? [result as Tensor] : (result as readonly Tensor[]);
  };
  let shapes: readonly Tensor[] = [];
  const results = cond(
    opaqueTruth(first),
    () => {
      shapes = block();
      const body = currentGraph() as Graph;
      const random = randomNode(body);
      if (random !== undefined)
        throw new UpdraftError(
          'autodiff',
          `The block of checkpoint() draws random numbers (${random.key} "${random.name}"), which differ when it is computed again.`,
          {
            hint: 'Draw them before the block and pass them in, or leave the operator out of the block.',
          },
        );
      return shapes;
    },
    // Never taken. Zeros of known shapes are cheapest to write down; for others the block itself says the shapes.
    () =>
      shapes.every(({ shape, dataType }) => isStaticShape(shape) && isFloat(dataType)) ? shapes.map(zeros) : block(),
    { graph: deepest(inputs) },
  );
  return single ? (results[0] as Tensor) : [...results];
}

/** One zero, repeated: takes no room in the model. */
function zeros(value: Tensor): Tensor {
  const here = currentGraph() as Graph;
  return insideGraph(here, () =>
    here.constant(emptyTensor(value.dataType, [])).expand(here.ints(value.shape as readonly number[])),
  );
}

function deepest(values: readonly Tensor[]): Graph {
  let graph = currentGraph();
  for (const { graph: other } of values) if (graph === undefined || !graph.sees(other)) graph = other;
  return graph as Graph;
}
