import { insideGraph, instantiate, reachableNodes, scan, type Tensor } from '@updraft/graph';
import { NonDifferentiableError } from './errors.js';
import { gradients } from './gradients.js';

export interface PerSampleOptions {
  /** Inputs with a leading batch axis that the losses depend on. */
  readonly batch: readonly Tensor[];
}

/**
 * Gradients of every example: `losses` [batch], results [batch, ...shape of the value]. Runs the graph of the losses
 * once per example (ONNX `Scan`), with the batch inputs cut to that example: correct for every operator.
 */
export function perSampleGradients(losses: Tensor, wrt: readonly Tensor[], { batch }: PerSampleOptions): Tensor[] {
  if (losses.rank !== 1)
    throw new NonDifferentiableError(
      `Per-sample gradients need one loss per example; "${losses.name}" has rank ${losses.rank}.`,
      {
        hint: 'Reduce the loss of each example over all axes but the first.',
      },
    );
  const used = new Set(reachableNodes([losses]).flatMap((node) => node.inputs));
  const columns = batch.filter((column) => used.has(column) && column.rank > 0);
  if (columns.length === 0)
    throw new NonDifferentiableError(`"${losses.name}" depends on none of the batch inputs given.`);
  const { outputs } = scan({ state: [], inputs: columns }, (_state, rows) => {
    const body = (rows[0] as Tensor).graph;
    return insideGraph(body, () => {
      const bindings = new Map(columns.map((column, index) => [column, (rows[index] as Tensor).unsqueeze([0])]));
      const [single] = instantiate([losses], bindings, body) as [Tensor];
      return { state: [], outputs: gradients(single, wrt) };
    });
  });
  return [...outputs];
}
